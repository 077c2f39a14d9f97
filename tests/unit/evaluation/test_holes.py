"""Holes: random structures that a network lets fall to energies that no physics allows."""

from __future__ import annotations

import ase
import numpy as np
import pandas as pd
import pytest
from factories import DATA
from numpy.typing import NDArray

from uprung.config.tests import Holes
from uprung.datasets.store import Dataset
from uprung.evaluation import holes, relaxation
from uprung.evaluation.hole_tables import arms_table, networks_table, wilson
from uprung.evaluation.holes import Start, holes_of, starts_of
from uprung.evaluation.relaxation import energies_and_forces, relax
from uprung.frames.intake import write_frames
from uprung.frames.table import Frames, read_frames
from uprung.models.calculator import calculator
from uprung.models.data import open_dataset, write_dataset
from uprung.models.registry import load
from uprung.sources import open_source

KEPT = {1, 7, 8, 64}  # H, N, O, Gd
OPTIONS = Holes(starts=8, rounds=3, steps=60)


@pytest.fixture(scope="module")
def dimers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Frames, Dataset]:
    folder = tmp_path_factory.mktemp("dimers")
    source = open_source("diatomics", DATA / "diatomics/diatomics-dft.json.gz", "r2SCAN")
    unwanted = frozenset(range(1, 95)) - KEPT
    write_frames([(source.records(), unwanted)], folder / "frames", functional="r2SCAN")
    frames = read_frames(folder / "frames/manifest.json")
    forces, names = frames.flat("forces", 3).reshape(-1, 6), frames.strings("frame_id")
    far = np.array([name.endswith("-6.000") for name in names])
    chosen = np.flatnonzero((np.abs(forces).max(axis=1) < 10) & ~far)
    frames = frames.take(chosen)
    write_dataset(frames, frames.label("energy"), folder / "graphs", name="chgnet")
    return frames, open_dataset(folder / "graphs/manifest.json")


@pytest.fixture(scope="module")
def starts(dimers: tuple[Frames, Dataset]) -> list[Start]:
    frames, dataset = dimers
    return starts_of(frames, dataset, frames.strings("frame_id"), OPTIONS)


def test_starts_hold_the_compositions_and_know_the_frames_like_them(
    dimers: tuple[Frames, Dataset], starts: list[Start]
) -> None:
    _, dataset = dimers
    assert sorted({start.atoms.get_chemical_formula() for start in starts}) == ["Gd2", "H2", "N2", "O2"]
    for start in starts:
        elements = {name.split("2-")[0] for name in dataset.keys[start.alike]}
        assert elements == {start.atoms.get_chemical_formula().removesuffix("2")}
        assert 10 < len(start.alike) <= 50


def test_many_structures_relax_as_one_does(starts: list[Start]) -> None:
    potential = load("chgnet-0.3.0").eval()
    crystals = [start.atoms for start in starts]
    together = relax(potential, crystals, 60)
    for k, atoms in enumerate(crystals):
        alone = relax(potential, [atoms], 60)
        assert np.allclose(alone.structures[0].positions, together.structures[k].positions, atol=1e-3)
        before, after = energies_and_forces(potential, [atoms, together.structures[k]])
        assert before is not None
        assert after is not None
        assert after[0] == pytest.approx(together.energy[k], abs=1e-5)
        assert after[0] <= before[0] + 1e-6
    chgnet = calculator("chgnet-0.3.0")
    chgnet.calculate(crystals[0])
    found = energies_and_forces(potential, crystals[:1])[0]
    assert found is not None
    assert found[0] * 2 == pytest.approx(chgnet.results["energy"], abs=1e-5)
    assert np.allclose(found[1], chgnet.results["forces"], atol=1e-5)


def test_a_structure_without_a_graph_is_told_and_holds_up_no_other(starts: list[Start]) -> None:
    apart = ase.Atoms("H2", positions=[(0, 0, 0), (10, 0, 0)], cell=[20] * 3, pbc=True)
    done = relax(load("chgnet-0.3.0").eval(), [starts[0].atoms, apart, starts[1].atoms], 5)
    assert done.known.tolist() == [True, False, True]
    assert np.isfinite(done.energy[[0, 2]]).all()
    alone = relax(load("chgnet-0.3.0").eval(), [apart], 5)
    assert alone.known.tolist() == [False]


def test_a_known_hole_is_found_whatever_the_references_are(dimers: tuple[Frames, Dataset], starts: list[Start]) -> None:
    _, dataset = dimers
    potential = load("chgnet-0.3.0")
    found = holes_of(potential, starts, dataset, OPTIONS)
    gadolinium = found["formula"] == "Gd2"
    fallen = found[gadolinium & (found["hole"] == "energy")]
    assert len(fallen)
    assert fallen["energy"].max() < -500  # eV/atom, at 2.1 Å, where some of the labelled frames are as well
    assert (found.loc[~gadolinium, "hole"] == "").all()
    assert found.loc[~gadolinium, "energy"].min() > -1
    again = holes_of(potential, starts, dataset, OPTIONS)
    pd.testing.assert_frame_equal(found, again)
    potential.set_references(potential.references + np.linspace(-50, 50, 94), trainable=False)
    moved = holes_of(potential, starts, dataset, OPTIONS)
    assert moved["hole"].tolist() == found["hole"].tolist()
    assert np.allclose(moved["energy"], found["energy"], atol=2e-3)


def test_frames_in_a_hole_do_not_hide_it_and_labels_may_be_missing() -> None:
    label, none = np.array([-5.0, -4.0, -3.0]), np.full(3, np.nan)
    assert holes.lowest_known(label + 7, label) == 2.0
    assert holes.lowest_known(np.array([-600.0, 3.0, 4.0]), label) == 2.0
    assert holes.lowest_known(np.array([1.0, 3.0, 4.0]), none) == 1.0
    assert holes.lowest_known(np.array([1.0, 3.0, 4.0]), np.array([np.nan, -4.0, np.nan])) == 3.0


def pair(shape: str) -> object:
    """Return energies and forces of dimers of hydrogen by their distance r."""

    def compute(_: object, crystals: list[ase.Atoms]) -> list[tuple[float, NDArray[np.float64]] | None]:
        found: list[tuple[float, NDArray[np.float64]] | None] = []
        for atoms in crystals:
            vector = atoms.get_distance(0, 1, mic=True, vector=True)
            r = float(np.linalg.norm(vector))
            well = np.exp(-2 * (r - 0.75)) - 2 * np.exp(-(r - 0.75))
            slope = -2 * np.exp(-2 * (r - 0.75)) + 2 * np.exp(-(r - 0.75))
            energy, slope = {"physical": (well, slope), "hollow": (5 * r, 5.0), "none": (np.nan, 0.0)}[shape]
            force = slope * vector / r
            found.append(None if shape == "apart" else (energy / 2, np.stack([force, -force])))
        return found

    return compute if shape != "apart" else lambda _, crystals: [None] * len(crystals)


@pytest.mark.parametrize(
    ("shape", "hole"), [("physical", ""), ("hollow", "collapse"), ("none", "number"), ("apart", "")]
)
def test_what_counts_as_a_hole(
    dimers: tuple[Frames, Dataset],
    starts: list[Start],
    monkeypatch: pytest.MonkeyPatch,
    shape: str,
    hole: str,
) -> None:
    hydrogen = [start for start in starts if start.atoms.get_chemical_formula() == "H2"]
    monkeypatch.setattr(relaxation, "energies_and_forces", pair(shape))
    floor = {"hollow": 0.0}.get(shape, -0.5)
    monkeypatch.setattr(holes, "lowest_known", lambda *_: floor)
    monkeypatch.setattr(holes, "predict", lambda _, __, rows, **___: {"energy": np.zeros(len(rows))})
    potential = load("chgnet-0.3.0")
    found = holes_of(potential, hydrogen, dimers[1], OPTIONS)
    assert set(found["hole"]) == {hole}
    assert set(found["lost"]) == {shape == "apart"}
    assert set(found["rounds"]) == {3 if shape == "physical" else 1}
    if shape == "physical":
        assert found["energy"].abs().max() < 0.01
        floor = 2.0  # the network finds labelled frames far above its own well
        assert set(holes_of(potential, hydrogen, dimers[1], OPTIONS)["hole"]) == {"energy"}


def found_by(seed: int, kinds: list[str], arm: str = "a") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "budget": "b",
            "arm": arm,
            "size": "10",
            "seed": seed,
            "start": [f"s{k}" for k in range(len(kinds))],
            "energy": -1.0 - np.arange(len(kinds)),
            "hole": kinds,
            "lost": False,
        }
    )


def test_an_arm_has_one_number_and_an_interval() -> None:
    starts = pd.concat([found_by(0, ["energy", "", "", ""]), found_by(1, ["collapse", "number", "", ""])])
    networks = networks_table(starts)
    assert networks["holes"].tolist() == [1, 2]
    assert networks[["holes_energy", "holes_collapse", "holes_number"]].to_numpy().tolist() == [[1, 0, 0], [0, 1, 1]]
    assert networks["deepest"].tolist() == [-4.0, -4.0]
    (arm,) = arms_table(starts).to_dict("records")
    assert (arm["share"], arm["seeds"], arm["starts"]) == (0.375, 2, 4)
    assert (arm["low"], arm["high"]) == wilson(0.375, 4)
    none = arms_table(found_by(0, [""] * 40)).iloc[0]
    assert none["low"] == 0
    assert none["high"] == pytest.approx(0.0876, abs=1e-4)


def test_the_interval_is_that_of_the_books() -> None:
    assert wilson(0.25, 20) == pytest.approx((0.1119, 0.4687), abs=1e-4)  # statsmodels, proportion_confint
    assert wilson(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
