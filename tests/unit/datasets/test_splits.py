from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from factories import DATA, make_frame, table_of
from hypothesis import given, settings
from hypothesis import strategies as st

from uprung.datasets.splits import (
    FidelityFrames,
    assign,
    elements_of,
    exclusions,
    group_names,
    hash_unit,
    pretraining_share,
    split_counts,
    split_fidelities,
    twin_groups,
)
from uprung.frames.intake import write_frames
from uprung.frames.schema import Frame
from uprung.frames.table import read_frames
from uprung.models.data import open_dataset, write_dataset
from uprung.sources import READERS, open_source
from uprung.structures.pairs import match_frames

CASES = Path(__file__).parents[2] / "cases"
SHARES = (8.0, 1.0, 1.0)
names = st.lists(st.text("abcdefgh0123456789-", min_size=1, max_size=6), min_size=1, max_size=60)


NO_PAIRS = pd.DataFrame({"row_low": [], "row_high": []}, dtype=np.int64)


def side(name: str, frames: list[Frame], kind: str = "material") -> FidelityFrames:
    table = table_of(frames)
    return FidelityFrames(name, table, table.label("energy"), group_names(table, kind))


# ------------------------------------------------------------------------------------------------- assignment


@settings(deadline=None)
@given(groups=names, more=names, key=st.text(max_size=5), seed=st.integers(0, 99))
def test_a_group_keeps_its_side_whatever_else_is_there(groups: list[str], more: list[str], key: str, seed: int):
    before = dict(zip(groups, assign(groups, shares=SHARES, key=key), strict=True))
    grown = groups + more
    order = np.random.default_rng(seed).permutation(len(grown))
    shuffled = [grown[i] for i in order]
    after = dict(zip(shuffled, assign(shuffled, shares=SHARES, key=key), strict=True))
    assert {name: after[name] for name in groups} == before


@settings(deadline=None)
@given(groups=names)
def test_frames_of_a_group_share_a_side(groups: list[str]) -> None:
    sides = assign(groups * 3, shares=SHARES, key="k")
    for name in groups:
        assert len({s for g, s in zip(groups * 3, sides, strict=True) if g == name}) == 1


def test_shares_are_met_and_the_key_matters() -> None:
    groups = [f"mp-{n}" for n in range(20_000)]
    sides = assign(groups, shares=(6, 3, 1), key="a")
    for name, share in (("train", 0.6), ("val", 0.3), ("test", 0.1)):
        assert (sides == name).mean() == pytest.approx(share, abs=0.012)  # 3.5 standard deviations
    other = assign(groups, shares=(6, 3, 1), key="b")
    assert (sides == other).mean() == pytest.approx(0.6**2 + 0.3**2 + 0.1**2, abs=0.02)
    np.testing.assert_array_equal(assign(groups, shares=(60, 30, 10), key="a"), sides)


def test_a_growing_training_share_takes_nothing_away() -> None:
    groups = [f"mp-{n}" for n in range(2000)]
    small, large = assign(groups, shares=(5, 0, 5), key="a"), assign(groups, shares=(7, 0, 3), key="a")
    assert (large[small == "train"] == "train").all()


def test_the_hash_is_a_fixed_function() -> None:
    """Published splits rest on these values: they must never change."""
    assert hash_unit("Si2", "uprung") == pytest.approx(0.17474590064065224, abs=1e-15)
    values = [hash_unit(str(n), "k") for n in range(2000)]
    assert 0 <= min(values) < 0.01
    assert 0.99 < max(values) < 1
    assert np.mean(values) == pytest.approx(0.5, abs=0.03)


def test_group_names() -> None:
    frames = table_of(
        [
            make_frame("a", material_id="x", Z=(8, 22, 8)),
            make_frame("b", material_id="y", Z=(22, 22, 8, 8, 8, 8)),
            make_frame("c", material_id="y", Z=(22, 8)),
        ]
    )
    assert group_names(frames, "material") == ["x", "y", "y"]
    assert group_names(frames, "formula") == ["O2Ti1", "O2Ti1", "O1Ti1"]
    assert group_names(frames, "chemical_system") == ["O-Ti"] * 3
    assert group_names(frames, "frame") == ["a", "b", "c"]


# ----------------------------------------------------------------------------------------------- several fidelities


@st.composite
def fidelities(draw: st.DrawFn) -> tuple[list[Frame], list[Frame]]:
    """Frames of two fidelities over a few materials; the low one has more of both."""

    def some(prefix: str, materials: int, most: int) -> list[Frame]:
        return [
            make_frame(f"{prefix}{m}-{k}", material_id=f"mp-{m}", Z=(m % 5 + 3, 8))
            for m in range(materials)
            for k in range(draw(st.integers(0, most)))
        ]

    low, high = some("low", draw(st.integers(1, 25)), 3), some("high", draw(st.integers(1, 25)), 3)
    return low or [make_frame("low")], high or [make_frame("high")]


@settings(max_examples=30, deadline=None)
@given(data=fidelities(), kind=st.sampled_from(["material", "formula", "chemical_system"]))
def test_no_group_is_trained_on_in_one_fidelity_and_tested_in_another(data, kind: str) -> None:
    low, high = data
    split = split_fidelities([side("low", low, kind), side("high", high, kind)], shares=(2, 1, 1), key="k")
    assert len(split) == len(low) + len(high)
    assert split.groupby("group")["side"].nunique().max() == 1
    held_back = set(split.loc[split["split"].isin(["val", "test"]), "group"])
    trained = split[split["split"] == "train"]
    assert not held_back & set(trained["group"])
    if kind == "material":
        assert not held_back & set(trained["material_id"])


@settings(max_examples=20, deadline=None)
@given(data=fidelities(), seed=st.integers(0, 9))
def test_split_of_a_frame_depends_on_names_alone(data, seed: int) -> None:
    low, high = data
    one = split_fidelities([side("low", low), side("high", high)], shares=SHARES, key="k")
    rng = np.random.default_rng(seed)
    mixed = [low[i] for i in rng.permutation(len(low))], [high[i] for i in rng.permutation(len(high))]
    two = split_fidelities([side("low", mixed[0]), side("high", mixed[1])], shares=SHARES, key="k")
    assert one.set_index("frame_id")["split"].to_dict() == two.set_index("frame_id")["split"].to_dict()
    for fidelity, frames in (("low", mixed[0]), ("high", mixed[1])):
        rows = two.loc[two["fidelity"] == fidelity].sort_values("row")
        assert rows["frame_id"].tolist() == [f.frame_id for f in frames]


def test_no_geometry_crosses_the_split_of_the_dimers() -> None:
    """Split by frame: the PBE frame of a tested r²SCAN geometry is never in training."""
    path = DATA / "diatomics" / "diatomics-dft.json.gz"
    low, high = (table_of(list(READERS["diatomics"].read(path, f))[:600]) for f in ("PBE", "r2SCAN"))
    renamed = low.table.set_column(0, "frame_id", [[f"pbe/{name}" for name in low.strings("frame_id")]])
    low = replace(low, table=renamed)
    pairs, _ = match_frames(low, high)
    groups = twin_groups(low, high, pairs, "frame", 1e-3)
    sides = [
        FidelityFrames("pbe", low, low.label("energy"), groups[0]),
        FidelityFrames("r2scan", high, high.label("energy"), groups[1]),
    ]
    split = split_fidelities(sides, shares=SHARES, key="uprung").set_index("frame_id")["side"]
    left, right = (split.loc[pairs[f"frame_id_{s}"]].to_numpy() for s in ("low", "high"))
    assert (left == right).all()
    assert set(right) == {"train", "val", "test"}


def test_twins_are_in_one_group_within_and_across_fidelities() -> None:
    """Names of frames without a twin stay; the others are called as a frame of the high side, or the smallest name."""
    low = [
        make_frame("l0", bond=2.0),
        make_frame("l1", bond=2.1),
        make_frame("l2", bond=2.1),
        make_frame("l3", bond=2.2),
        make_frame("l4", bond=2.3),
    ]
    high = [
        make_frame("h9", bond=2.0),
        make_frame("h3", bond=2.0),
        make_frame("a", bond=2.5),
        make_frame("h8", bond=2.2),
    ]
    moved = [replace(frame, frac=frame.frac + np.array([[0, 0, 0], [1, -1, 0]])) for frame in high]
    found = twin_groups(table_of(low), table_of(moved), NO_PAIRS, "frame", 1e-3)
    assert found == (["h3", "l1", "l1", "h8", "l4"], ["h3", "h3", "a", "h8"])


def test_materials_that_share_a_geometry_are_one_group() -> None:
    low = [make_frame("a", material_id="mp-1", bond=2.0), make_frame("b", material_id="mp-2", bond=2.1)]
    low += [make_frame("c", material_id="mp-2", bond=2.2), make_frame("d", material_id="mp-3", bond=2.3)]
    high = [make_frame("A", material_id="Si2", bond=2.0), make_frame("B", material_id="Si2", bond=2.2)]
    found = twin_groups(table_of(low), table_of(high), NO_PAIRS, "material", 1e-3)
    assert found == (["Si2", "Si2", "Si2", "mp-3"], ["Si2", "Si2"])
    assert twin_groups(table_of(low), table_of(high), NO_PAIRS, "formula", 1e-3) == (["Si1"] * 4, ["Si1"] * 2)


def test_pairs_of_a_material_are_one_group() -> None:
    low, high = table_of([make_frame("a", bond=2.0), make_frame("b")]), table_of([make_frame("c", bond=3.0)])
    pairs = pd.DataFrame({"row_low": [0], "row_high": [0]})
    assert twin_groups(low, high, pairs, "frame", 1e-3) == (["c", "b"], ["c"])


@settings(max_examples=30, deadline=None)
@given(bonds=st.lists(st.integers(0, 12), min_size=1, max_size=12), seed=st.integers(0, 99), at=st.integers(0, 12))
def test_no_geometry_is_on_two_sides_whatever_the_order_of_the_frames(bonds: list[int], seed: int, at: int) -> None:
    frames = [make_frame(f"{k}", bond=2 + 0.1 * bond) for k, bond in enumerate(bonds)]
    rng, at = np.random.default_rng(seed), min(at, len(bonds) - 1)

    def names(low: list[Frame], high: list[Frame]) -> dict[str, str]:
        own = [frame.frame_id for frame in [*low, *high]]
        if not low:
            return {}
        groups = twin_groups(table_of(low), table_of(high), NO_PAIRS, "frame", 1e-3)
        return dict(zip(own, [*groups[0], *groups[1]], strict=True))

    low, high = frames[:at], frames[at:]
    found = names(low, high)
    assert names([low[k] for k in rng.permutation(len(low))], [high[k] for k in rng.permutation(len(high))]) == found
    if found:
        assert len({(bond, found[str(k)]) for k, bond in enumerate(bonds)}) == len(set(bonds))


# ------------------------------------------------------------------------------------------------ who takes part


def test_reasons_for_taking_no_part() -> None:
    frames = [
        make_frame("fine", material_id="x", energy=-2.0),
        make_frame("high", material_id="x", energy=0.1),  # 1.05 eV/atom above `fine`
        make_frame("pushed", material_id="x", energy=-2.0, forces=np.array([[8.0, 7, 0], [0, 0, 0]])),
        make_frame("far", material_id="x", energy=-2.0, bond=6.01),
        make_frame("near", material_id="x", energy=-2.0, bond=5.99),
        make_frame("blank", material_id="x", energy=None, bond=7.0),
        make_frame("forceless", material_id="y", energy=5.0, forces=None),
    ]
    table = table_of(frames)
    reasons = exclusions(table, table.label("energy"), max_force=10.0, max_energy_range=1.0)
    assert dict(zip(table.strings("frame_id"), reasons, strict=True)) == {
        "fine": "",
        "high": "more than 1 eV/atom above its material",
        "pushed": "force above 10 eV/Å",
        "far": "an atom without neighbour within 6 Å",
        "near": "",
        "blank": "no energy label",
        "forceless": "",
    }
    assert set(exclusions(table, table.label("energy"))) == {
        "",
        "an atom without neighbour within 6 Å",
        "no energy label",
    }


def test_force_limit_is_a_length_not_a_component() -> None:
    forces = np.array([[[6.0, 6, 6], [0, 0, 0]], [[5.7, 5.7, 5.7], [0, 0, 0]]])
    table = table_of([make_frame(str(k), forces=f) for k, f in enumerate(forces)])
    reasons = exclusions(table, table.label("energy"), max_force=10.0)
    assert list(reasons) == ["force above 10 eV/Å", ""]


def test_two_atoms_at_one_place_are_excluded_and_the_graphs_are_built(tmp_path: Path) -> None:
    """Public case atoms-at-one-place: one frame of sixteen."""
    source = open_source("ase", CASES / "atoms-at-one-place/high.extxyz", "r2SCAN", "high")
    write_frames([(source.records(), source.unwanted)], tmp_path, functional="r2SCAN")
    frames = read_frames(tmp_path / "manifest.json")
    reasons = exclusions(frames, frames.label("energy"))
    assert [(k, reason) for k, reason in enumerate(reasons) if reason] == [
        (3, "two atoms, or an atom and its image, less than 0.1 Å apart")
    ]
    rows = np.flatnonzero(reasons == "")
    write_dataset(frames.take(rows), frames.label("energy")[rows], tmp_path / "graphs", name="chgnet")
    assert len(open_dataset(tmp_path / "graphs/manifest.json").energy) == 15


def test_an_element_without_training_frames_is_excluded_and_counted() -> None:
    """Both sides of the split, in all fidelities, decide what is known."""
    groups = {
        s: next(f"m{n}" for n in range(99) if assign([f"m{n}"], shares=SHARES, key="k")[0] == s)
        for s in ("train", "val", "test")
    }
    low = [
        make_frame("l0", material_id=groups["train"], Z=(3, 8)),
        make_frame("l1", material_id=groups["test"], Z=(9, 9)),
    ]
    high = [
        make_frame("h0", material_id=groups["train"], Z=(8, 8)),
        make_frame("h1", material_id=groups["test"], Z=(3, 8)),  # lithium is known from the low side
        make_frame("h2", material_id=groups["val"], Z=(9, 11)),
        make_frame("h3", material_id=groups["train"], Z=(11, 11), energy=None),  # excluded, so it makes nothing known
    ]
    split = split_fidelities([side("low", low), side("high", high)], shares=SHARES, key="k")
    by_name = split.set_index("frame_id")
    assert by_name["split"].to_dict() == {
        "l0": "train",
        "l1": "excluded",
        "h0": "train",
        "h1": "test",
        "h2": "excluded",
        "h3": "excluded",
    }
    assert by_name.at["h2", "reason"] == "element in no training frame: F, Na"
    facts = split_counts(split)
    assert {(c["fidelity"], c["split"]): c["frames"] for c in facts["counts"]} == {
        ("low", "train"): 1,
        ("low", "excluded"): 1,
        ("high", "train"): 1,
        ("high", "test"): 1,
        ("high", "excluded"): 2,
    }
    assert sum(facts["reasons"].values()) == len(facts["excluded"]) == 3
    assert {e["frame_id"]: e["reason"] for e in facts["excluded"]} == {
        "l1": "element in no training frame: F",
        "h2": "element in no training frame: F, Na",
        "h3": "no energy label",
    }


def test_elements_of() -> None:
    table = table_of([make_frame("a", Z=(1, 8, 1)), make_frame("b", Z=(14,))])
    assert elements_of(table) == [{1, 8}, {14}]


def test_share_of_test_materials_in_the_pretraining_set() -> None:
    table = pd.DataFrame(
        {
            "fidelity": ["hi", "hi", "hi", "hi", "lo"],
            "split": ["test", "test", "test", "train", "test"],
            "material_id": ["a", "a", "b", "c", "d"],
        }
    )
    assert pretraining_share(table, "hi", None) == {"test_materials": 2, "in_pretraining": None}
    assert pretraining_share(table, "hi", frozenset("acd")) == {"test_materials": 2, "in_pretraining": 1}
