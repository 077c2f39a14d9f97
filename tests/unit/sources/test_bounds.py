"""One frame, name or line cannot fill a machine: it is listed with the reason, and the rest is read."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest
from ase import Atoms
from factories import make_frame
from layouts import SCALE, ase_row, crystal, write_aselmdb, xyz_text

from uprung.dft.structures import StructuresError, read_structures
from uprung.frames.intake import write_frames
from uprung.frames.limits import ATOMS, NAME, RECORD
from uprung.frames.schema import Frame, Rejected
from uprung.models.calculator import calculator
from uprung.models.chgnet.graphs import build_graph
from uprung.sources import open_source
from uprung.structures.duplicates import leave_out_duplicates

CASES = Path(__file__).parents[2] / "cases"
GRID = np.array(np.meshgrid(*[np.arange(15)] * 3)).reshape(3, -1).T / 15
NEEDLE = {"lattice": np.diag([1e-5, 1e5, 10.0])}
DENSE = {"Z": np.ones(3375, dtype=np.uint8), "frac": GRID, "lattice": (0.5 * 3375) ** (1 / 3) * 1.001 * np.eye(3)}
#: what is wrong with the second of three frames, and the reason that is listed
FRAMES: dict[str, tuple[dict[str, Any], str]] = {
    "needle cell": ({**NEEDLE, "frac": np.zeros((2, 3))}, "of the cell: it is too thin"),
    "3,375 atoms at 0.5 Å³": ({**DENSE, "forces": None}, "angles of bonds within 3 Å are more than 20,000,000"),
    "a name of 50 kB": ({"frame_id": "x" * 50_000}, f"frame_id has 50,000 characters (at most {NAME}): xxxx"),
    "a material of 50 kB": ({"material_id": "é" * 50_000}, "material_id has 50,000 characters"),
    "a provenance of 50 MB": ({"provenance": "x" * 50_000_000}, "provenance has 50,000,000 characters"),
    "a flag of 50 kB": ({"flags": ("y" * 50_000,)}, "flags has 50,000 characters"),
    "a thousand flags": ({"flags": ("y",) * 1000}, "1000 flags"),
    "half a character": ({"frame_id": "\ud800"}, "frame_id has characters that no file can hold"),
    "half a character in a material": ({"material_id": "\udfff"}, "material_id has characters that no file can hold"),
    "a name that ends in a zero byte": ({"frame_id": "a\0"}, "frame_id has characters"),
    "a name of two lines": ({"frame_id": "b\nc"}, "frame_id has characters"),
    "no name": ({"frame_id": ""}, "frame_id is empty"),
    "atoms without end": (
        {"Z": np.ones(ATOMS + 1, dtype=np.uint8), "frac": np.zeros((ATOMS + 1, 3)), "forces": None},
        "20,001 atoms are more than 20,000",
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_beyond_a_bound_is_listed_and_the_rest_goes_on(name: str, tmp_path: Path) -> None:
    changes, reason = FRAMES[name]
    energy = {"energy": -1.0 * len(changes.get("Z", [0, 0]))}
    frames = [make_frame("a"), make_frame(**{"frame_id": "b", **energy, **changes}), make_frame("c")]
    manifest = write_frames([(frames, frozenset())], tmp_path, functional="PBE")
    assert (manifest["read"], manifest["written"], len(manifest["rejected"])) == (3, 2, 1)
    assert reason in manifest["rejected"][0]["reason"]
    assert (tmp_path / "manifest.json").stat().st_size < 10_000
    assert json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8")) == manifest


def test_what_a_reader_rejects_is_listed_in_short(tmp_path: Path) -> None:
    records = [make_frame("a"), Rejected("n" * 1_000_000, "r\ud800" * 1_000_000)]
    manifest = write_frames([(records, frozenset())], tmp_path, functional="PBE")
    (listed,) = manifest["rejected"]
    assert len(listed["frame_id"]) == NAME
    assert len(listed["reason"]) == 1_000


def test_a_graph_is_not_built_beyond_the_bounds() -> None:
    """So calculators and stores of graphs refuse, too, whatever did not come through the intake."""
    with pytest.raises(ValueError, match="angles of bonds within 3 Å are more than"):
        build_graph(DENSE["frac"], DENSE["lattice"])
    with pytest.raises(ValueError, match="it is too thin"):
        build_graph(np.zeros((2, 3)), NEEDLE["lattice"])


def test_a_calculator_refuses_before_it_looks_for_neighbours() -> None:
    atoms = Atoms("H2", cell=NEEDLE["lattice"], positions=[[0, 0, 0], [0, 1, 1]], pbc=True)
    atoms.calc = calculator("chgnet-0.3.0")
    with pytest.raises(ValueError, match=r"H2 is too large for a graph: .*it is too thin"):
        atoms.get_potential_energy()


def test_structures_to_be_labelled_have_the_same_bounds(tmp_path: Path) -> None:
    (tmp_path / "s.extxyz").write_text(
        '1\nLattice="1e-5 0 0 0 1e5 0 0 0 10" Properties=species:S:1:pos:R:3 pbc="T T T"\nSi 0 0 0\n'
    )
    with pytest.raises(StructuresError, match=r"structure 0: .*angles"):
        read_structures(tmp_path / "s.extxyz", 1.0)


ENDLESS = b"a" * 1024
ENDS = RECORD // 1024 + 1_000


def zipped(path: Path, head: bytes, endless: bytes = ENDLESS, tail: bytes = b"") -> Path:
    """Write a small compressed file of a head, a line that does not end for a while, and a tail."""
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(head)
        for _ in range(ENDS):
            stream.write(endless)
        stream.write(tail)
    return path


def good_xyz() -> bytes:
    return "".join(xyz_text(ase_row(crystal(k), f"x{k}")) for k in range(2)).encode()


FILES: dict[str, tuple[str, Callable[[], tuple[bytes, bytes, bytes]], str, int]] = {
    "xyz, the line of the count": ("ase", lambda: (good_xyz(), b"1" * 1024, b""), "does not end within 64 MiB", 2),
    "xyz, the line of keys": ("ase", lambda: (good_xyz() + b"1\n", b"k" * 1024, b""), "does not end within 64 MiB", 2),
    "xyz, atoms without end": (
        "ase",
        lambda: (
            good_xyz() + b'999999\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3\n',
            b"Si 0 0 0 " * 113 + b"\n",
            b"",
        ),
        "does not end within 64 MiB",
        2,
    ),
    "JSON, a record": ("matpes", lambda: (b'[{"structure": "', b"a" * 1024, b""), "does not end within 64 MiB", 0),
    "JSON lines of labels": ("gpaw", lambda: (b'{"xc": "', b"a" * 1024, b""), "does not end within 64 MiB", 0),
    "vasprun, a text": ("vasprun", lambda: (b"<modeling><incar><i name='X'>", b"1" * 1024, b""), "does not end", 0),
}


@pytest.mark.parametrize("name", FILES)
def test_a_line_without_end_is_listed_in_bounded_memory(name: str, tmp_path: Path) -> None:
    format, content, reason, good = FILES[name]
    path = zipped(tmp_path / "endless.gz", *content())
    assert path.stat().st_size < 2_000_000
    source = open_source(
        format, path, "r2SCAN" if format == "matpes" else "PBE", None if format in ("matpes", "gpaw") else SCALE
    )
    tracemalloc.start()
    records = list(source.records())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(record) for record in records] == [Frame] * good + [Rejected]
    assert reason in records[-1].reason
    assert peak < 8 * RECORD


def test_a_row_of_lmdb_that_inflates_without_end_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "a.aselmdb"
    write_aselmdb(path, [ase_row(crystal(k), f"x{k}") for k in range(2)])
    with lmdb.open(str(path), subdir=False) as database, database.begin(write=True) as transaction:
        transaction.put(b"2", zlib.compress(b"[" + bytes(RECORD + 1) + b"]"))
    records = list(open_source("ase", path, "PBE", SCALE).records())
    assert isinstance(records[0], Frame)
    assert "holds more than 64 MiB, decompressed" in records[1].reason


def test_a_bundle_read_as_a_whole_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uprung.sources.files.WHOLE", 1 << 20)
    path = zipped(tmp_path / "Li_training.json.gz", b'["', tail=b'"]')
    records = list(open_source("mlearn", path, "PBE").records())
    assert [record.reason for record in records] == ["more than 1 MiB, decompressed"]


@pytest.mark.parametrize(("numbers", "reason"), [([29.5], "29.5"), ([300], "300"), ([0], "0"), ([-1], "-1")])
def test_atomic_numbers_of_own_labels_are_whole(numbers: list[float], reason: str, tmp_path: Path) -> None:
    settings = {"code": "GPAW", "setups": "x", "cutoff": 1.0, "k_density": 1.0, "smearing": 1.0}
    record = {
        "id": "a", "material": "m", "xc": "PBE", "settings": settings, "cell": np.eye(3).tolist(), "numbers": numbers,
        "positions": [[0, 0, 0]], "energy": -1.0, "free_energy": -1.0, "forces": [[0, 0, 0]], "stress": [0] * 6,
    }  # fmt: skip
    (tmp_path / "l.jsonl").write_text(json.dumps(record) + "\n")
    (found,) = open_source("gpaw", tmp_path / "l.jsonl", "PBE").records()
    assert isinstance(found, Rejected)
    assert f"atomic number {reason} is not one of" in found.reason


def test_atoms_in_one_place_stop_no_search_for_copies(tmp_path: Path) -> None:
    """Public case atoms-at-one-place: read, kept for the split to exclude, and no copy of another frame."""
    source = open_source("ase", CASES / "atoms-at-one-place/high.extxyz", "r2SCAN", "high")
    write_frames([(source.records(), source.unwanted)], tmp_path, functional="r2SCAN")
    manifest = leave_out_duplicates(tmp_path / "manifest.json")
    assert (manifest["written"], manifest["rejected"]) == (16, [])
