from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from factories import DATA, make_frame, table_of

from uprung.frames.schema import Frame
from uprung.frames.table import Frames
from uprung.sources import READERS
from uprung.structures.pairs import COLUMNS, match_frames


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
    moved = shifted(frame, 0.01 * np.sqrt(5), "b")  # 2 atoms + 3 cell vectors
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


@pytest.mark.parametrize("changes", [{"material_id": "other"}, {"Z": np.array([14, 6], dtype=np.uint8)}])
def test_another_material_or_species_is_no_partner(changes: dict[str, object]) -> None:
    frame = make_frame("a")
    table, _ = match_frames(table_of([frame]), table_of([replace(frame, **changes)]), tolerance=10.0)
    assert table.empty


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
