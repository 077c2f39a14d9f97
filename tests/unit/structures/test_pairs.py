from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from factories import DATA, make_frame, table_of

from uprung.frames.schema import SCHEMA, Frame
from uprung.frames.table import Frames
from uprung.sources import READERS
from uprung.structures.pairs import COLUMNS, PairsError, match_frames, require_pairs


def read(source: str, path: str, functional: str) -> Frames:
    return table_of(list(READERS[source].read(DATA / path, functional)))


EMBEDDED = {
    "dimers": ("diatomics", "diatomics/diatomics-dft.json.gz", 4517),
    "solids": ("solids", "solids/solids.jsonl.gz", 528),
    "elements": ("elements", "elements/MatPES-{}-Element-Refs.json.gz", 63),
}


@pytest.mark.parametrize("name", EMBEDDED)
def test_pairs_of_the_embedded_data(name: str) -> None:
    source, path, expected = EMBEDDED[name]
    low, high = (read(source, path.format(f), f) for f in ("PBE", "r2SCAN"))
    table, counts = match_frames(low, high)
    assert len(table) == counts["pairs"] == expected
    assert list(table.columns) == COLUMNS
    assert table["row_low"].is_monotonic_increasing
    assert table["rmsd"].max() <= 1e-3
    for side, frames in (("low", low), ("high", high)):
        assert table[f"row_{side}"].is_unique
        assert len(counts[f"unpaired_{side}"]) == len(frames) - expected
        ids = np.array(frames.strings("frame_id"))
        assert (ids[table[f"row_{side}"]] == table[f"frame_id_{side}"]).all()
        assert set(counts[f"unpaired_{side}"]) == set(ids) - set(table[f"frame_id_{side}"])
    assert (table["frame_id_low"] == table["frame_id_high"]).all()  # ids name the geometry in these sets


def test_rows_in_another_order_give_the_same_pairs() -> None:
    low, high = (read("solids", "solids/solids.jsonl.gz", f) for f in ("PBE", "r2SCAN"))
    rng = np.random.default_rng(1)
    rows_low, rows_high = rng.permutation(len(low)), rng.permutation(len(high))
    straight, _ = match_frames(low, high)
    mixed, _ = match_frames(low.take(rows_low), high.take(rows_high))
    pairs = {(rows_low[i], rows_high[j]) for i, j in zip(mixed["row_low"], mixed["row_high"], strict=True)}
    assert pairs == set(zip(straight["row_low"], straight["row_high"], strict=True))
    assert mixed["row_low"].is_monotonic_increasing


def shifted(frame: Frame, distance: float, name: str) -> Frame:
    """Return the frame with its second atom moved along y, Å."""
    frac = frame.frac.copy()
    frac[1, 1] += distance / 15
    return replace(frame, frac=frac, frame_id=name)


@pytest.mark.parametrize(("tolerance", "found"), [(0.011, 1), (0.009, 0)])
def test_tolerance_is_a_root_mean_square_over_atoms_and_cell_vectors(tolerance: float, found: int) -> None:
    frame = make_frame("a")
    # 2 atoms + 3 cell vectors; both atoms are half the distance from where they are nearest to the others
    moved = shifted(frame, 0.01 * np.sqrt(2 * 5), "b")
    table, counts = match_frames(table_of([frame]), table_of([moved]), tolerance=tolerance)
    assert len(table) == found
    if found:
        assert table.loc[0, "rmsd"] == pytest.approx(0.01)
    else:
        assert (counts["unpaired_low"], counts["unpaired_high"]) == (["a"], ["b"])


def test_a_strained_cell_is_another_geometry() -> None:
    frame = make_frame("a")
    cell = 15.0 * np.eye(3)
    cell[2, 2] += 0.1
    table, _ = match_frames(table_of([frame]), table_of([replace(frame, lattice=cell)]), tolerance=1e-2)
    assert table.empty


def test_partners_are_mutual_nearest_neighbours() -> None:
    frame = make_frame("a")
    low = table_of([frame, shifted(frame, 0.03, "b")])
    high = table_of([shifted(frame, 0.02, "x")])
    table, counts = match_frames(low, high, tolerance=0.1)
    assert table[["frame_id_low", "frame_id_high"]].to_numpy().tolist() == [["b", "x"]]
    assert counts["unpaired_low"] == ["a"]
    table, _ = match_frames(high, low, tolerance=0.1)
    assert table[["frame_id_low", "frame_id_high"]].to_numpy().tolist() == [["x", "b"]]


def test_another_species_is_no_partner() -> None:
    frame = make_frame("a")
    other = replace(frame, Z=np.array([14, 6], dtype=np.uint8))
    table, _ = match_frames(table_of([frame]), table_of([other]), tolerance=10.0)
    assert table.empty
    assert table.dtypes["row_low"] == table.dtypes["row_high"] == np.int64


def test_ids_are_not_needed_but_decide_among_equal_frames() -> None:
    """Two frames of one geometry on both sides: names first, then materials, then the order of the rows."""
    one, two = make_frame("a", material_id="p"), make_frame("b", material_id="q")
    low = table_of([one, two, make_frame("c", bond=3.0), make_frame("d", bond=3.0)])
    high = table_of(
        [
            make_frame("x", material_id="q"),
            make_frame("a", material_id="r"),
            make_frame("y", bond=3.0, material_id="s"),
            make_frame("z", bond=3.0),
        ]
    )
    table, _ = match_frames(low, high)
    found = dict(zip(table["frame_id_low"], table["frame_id_high"], strict=True))
    assert found == {"a": "a", "b": "x", "c": "z", "d": "y"}
    assert table["material_id"].tolist() == ["p", "q", "m", "m"]  # the low side's


def test_a_crystal_is_paired_however_it_is_written() -> None:
    low = table_of(
        [replace(make_frame(str(k), Z=(3, 8, 8), bond=1.5 + 0.1 * k), material_id=f"m{k}") for k in range(5)]
    )
    rows = low.table.to_pylist()
    for k, row in enumerate(rows):
        frac = np.reshape(row["frac"], (3, 3))[[0, 2, 1]] + [[k, 0, 0], [0, -1, 0], [0.25, 0, 2]] + [0.7, 0, 0]
        frac[2, 0] -= 0.25
        row |= {"frac": frac.ravel().tolist(), "material_id": "none", "frame_id": f"r2scan-{k}"}
    high = Frames(pa.Table.from_pylist(rows[::-1], schema=SCHEMA), {})
    table, counts = match_frames(low, high)
    assert table["row_high"].tolist() == [4, 3, 2, 1, 0]
    assert table["rmsd"].max() < 1e-9
    assert counts["warnings"] == []


def test_no_pair_stops_with_what_was_compared_and_the_nearest_miss() -> None:
    low = table_of([make_frame("a"), make_frame("b", bond=3.0)])
    high = table_of([make_frame("A", bond=2.33)])
    with pytest.raises(PairsError, match=r"pair p: 0 of 2 and 1 frames match within 0\.001 Å") as caught:
        require_pairs("p", low, high, match_frames(low, high)[1])
    assert "the nearest, a and A, are 0.0095 Å apart" in str(caught.value)
    assert "use `match: material` or a larger `pairs.p.tolerance`" in str(caught.value)


@pytest.mark.parametrize(
    ("frame", "match", "message"),
    [
        (
            make_frame("A", Z=(14,) * 3),
            "geometry",
            "no composition (atoms of each element in the cell) is on both sides",
        ),
        (make_frame("A", bond=5.0), "geometry", "the nearest, a and A, are 0.85 Å apart"),
        (make_frame("A", material_id="other"), "material", "0 of 1 and 1 frames share a material_id"),
    ],
)
def test_no_pair_says_why(frame: Frame, match: str, message: str) -> None:
    low, high = table_of([make_frame("a")]), table_of([frame])
    with pytest.raises(PairsError, match=re.escape(message)):
        require_pairs("p", low, high, match_frames(low, high, match=match)[1])


def test_few_pairs_are_a_warning() -> None:
    low = table_of([make_frame(str(k), bond=2 + 0.1 * k) for k in range(20)])
    high = table_of([make_frame(str(k), bond=2 + 0.1 * k + 0.05 * (k > 0)) for k in range(20)])
    counts = match_frames(low, high)[1]
    require_pairs("p", low, high, counts)
    assert counts["warnings"] == ["only 1 of 20 and 20 frames are pairs"]


def test_material_match_takes_the_lowest_energy_per_atom() -> None:
    low = [
        make_frame("p1", material_id="p", energy=-4.0),
        make_frame("p2", material_id="p", Z=(14,) * 4, energy=-6.0),  # lower, but not per atom
        make_frame("p3", material_id="p", energy=None),
        make_frame("q1", material_id="q"),
        make_frame("r1", material_id="r", energy=None),
    ]
    high = [
        make_frame("P1", material_id="p", energy=-3.0, bond=2.0),
        make_frame("P2", material_id="p", energy=-3.1, bond=3.0),
        make_frame("R1", material_id="r"),
        make_frame("S1", material_id="s"),
    ]
    table, counts = match_frames(table_of(low), table_of(high), match="material")
    assert table[["row_low", "row_high", "frame_id_low", "frame_id_high"]].to_numpy().tolist() == [[0, 1, "p1", "P2"]]
    assert table["rmsd"].isna().all()
    assert (table["match"] == "material").all()
    assert counts["unpaired_low"] == ["p2", "p3", "q1", "r1"]
    assert counts["unpaired_high"] == ["P1", "R1", "S1"]


def test_material_match_goes_by_the_energy_label_of_the_fidelity() -> None:
    free = [make_frame(str(k), energy=None, energy_free=-1.0 - k) for k in range(3)]
    table, _ = match_frames(
        table_of([make_frame("a")]), table_of(free), match="material", labels=("energy", "energy_free")
    )
    assert table["frame_id_high"].tolist() == ["2"]
