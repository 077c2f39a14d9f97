"""Generated files in the documented layouts of the data sets, mutations of them, and how tests import a file."""

from __future__ import annotations

import copy
import json
import math
import sqlite3
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
from hypothesis import strategies as st

from uprung.config.formats import FORMATS
from uprung.frames.intake import write_frames
from uprung.frames.schema import FramesError
from uprung.frames.table import read_frames
from uprung.sources import open_source

SCALE = "a scale for tests"
JSON_SETS = {"mptrj": "PBE", "mp-r2scan": "r2SCAN", "matpes": "r2SCAN", "mp-aloe": "r2SCAN", "wbm-high-energy": "PBE"}
NESTED = ("mptrj", "mp-r2scan", "wbm-high-energy")
VOIGT = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]


def scale_of(format: str) -> str | None:
    """Return the label scale that a format needs, None where it may do without."""
    return SCALE if FORMATS[format].label_scale == "needed" else None


def crystal(seed: int = 0, symbols: tuple[str, ...] = ("Li", "O", "Fe")) -> dict[str, Any]:
    """Return cell, positions and labels of a made-up frame: Å, eV, eV/Å, kbar (compression positive), μB."""
    rng = np.random.default_rng(seed)
    n = len(symbols)
    kbar = rng.normal(0, 30, (3, 3)).round(8)
    lattice = (np.diag([4.1, 4.3, 4.7]) + rng.normal(0, 0.2, (3, 3))).round(8)
    frac = rng.random((n, 3)).round(8)
    return {
        "symbols": list(symbols),
        "lattice": lattice.tolist(),
        "frac": frac.tolist(),
        "xyz": (frac @ lattice).tolist(),
        "energy": round(float(rng.normal(-15, 1)), 8),
        "forces": rng.normal(0, 1, (n, 3)).round(8).tolist(),
        "kbar": ((kbar + kbar.T) / 2).tolist(),
        "magmom": rng.normal(0, 2, n).round(3).tolist(),
    }


def structure(c: dict[str, Any]) -> dict[str, Any]:
    """Return a structure as pymatgen writes it."""
    return {
        "@module": "pymatgen.core.structure",
        "@class": "Structure",
        "charge": 0,
        "lattice": {"matrix": c["lattice"], "pbc": [True, True, True], "a": 4.1, "b": 4.3, "c": 4.7, "volume": 82.9},
        "sites": [
            {"species": [{"element": s, "occu": 1}], "abc": f, "xyz": x, "label": s, "properties": {"magmom": m}}
            for s, f, x, m in zip(c["symbols"], c["frac"], c["xyz"], c["magmom"], strict=True)
        ],
    }


def json_record(data_set: str, name: str, c: dict[str, Any], material: str = "mp-1") -> dict[str, Any]:
    """Return one record of a published set."""
    voigt = [c["kbar"][i][j] for i, j in VOIGT]
    shape = {"structure": structure(c)}
    if data_set == "wbm-high-energy":
        return {**shape, "vasp_e": c["energy"], "vasp_f": c["forces"], "vasp_s": c["kbar"]}
    if data_set in NESTED:
        corrected = {"corrected_total_energy": c["energy"] - 0.5} if data_set == "mptrj" else {}
        return {
            **shape,
            "uncorrected_total_energy": c["energy"],
            **corrected,
            "energy_per_atom": c["energy"] / len(c["symbols"]),
            "force": c["forces"],
            "stress": c["kbar"],
            "magmom": c["magmom"],
            "bandgap": 0.4,
            "mp_id": material,
        }
    own = {"mp_aloe_id": name, "prototype_number": 7, "ionic_step_number": 2} if data_set == "mp-aloe" else {}
    return {
        **shape,
        "nsites": len(c["symbols"]),
        "energy": c["energy"],
        "forces": c["forces"],
        "stress": voigt,
        "functional": "r2SCAN",
        "bandgap": 0.4,
        "provenance": {"original_mp_id": None if own else material},
        **(own or {"matpes_id": name}),
    }


def json_text(data_set: str, records: dict[str, Any], material: str = "mp-1") -> str:
    """Return a file of records by name: nested, one list (MatPES), or one record per line (MP-ALOE)."""
    if data_set in NESTED:
        return json.dumps({material: records})
    if data_set == "matpes":
        return json.dumps(list(records.values()))
    return "".join(json.dumps(record) + "\n" for record in records.values())


def ase_row(c: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a structure under ASE's names; stress in eV/Å³, tension positive."""
    from ase.data import atomic_numbers
    from ase.units import GPa

    return {
        "numbers": [atomic_numbers[s] for s in c["symbols"]],
        "positions": c["xyz"],
        "cell": c["lattice"],
        "pbc": [True, True, True],
        "energy": c["energy"],
        "free_energy": c["energy"] - 0.01,
        "forces": c["forces"],
        "stress": [-0.1 * GPa * c["kbar"][i][j] for i, j in VOIGT],
        "magmoms": c["magmom"],
        "key_value_pairs": {"frame_id": name},
    }


def write_aselmdb(path: Path, rows: list[Any], *, deleted: tuple[int, ...] = ()) -> None:
    """Write an LMDB database as fairchem lays it out."""
    with lmdb.open(str(path), subdir=False, map_size=1 << 24, lock=False) as database, database.begin(write=True) as t:
        for k, row in enumerate(rows, start=1):
            if k not in deleted:
                t.put(str(k).encode(), row if isinstance(row, bytes) else zlib.compress(json.dumps(row).encode()))
        t.put(b"nextid", zlib.compress(json.dumps(len(rows) + 1).encode()))
        if deleted:
            t.put(b"deleted_ids", zlib.compress(json.dumps(list(deleted)).encode()))


def write_sqlite(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write an SQLite database as ASE lays it out."""
    from ase.db.sqlite import init_statements

    def blob(value: Any, kind: str) -> Any:
        return value if value is None or isinstance(value, str) else np.array(value, dtype=kind).tobytes()

    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = OFF")
    for statement in init_statements:
        connection.execute(statement)
    for row in rows:
        values = {
            **{key: row.get(key) for key in ("energy", "free_energy")},
            "numbers": blob(row["numbers"], "<i4"),
            **{key: blob(row.get(key), "<f8") for key in ("positions", "cell", "forces", "stress", "magmoms")},
            "pbc": sum(1 << k for k, periodic in enumerate(row["pbc"]) if periodic),
            "key_value_pairs": json.dumps(row.get("key_value_pairs", {})),
        }
        names = ", ".join(values)
        connection.execute(f"INSERT INTO systems ({names}) VALUES ({', '.join('?' * len(values))})", [*values.values()])
    connection.commit()
    connection.close()


def xyz_text(row: dict[str, Any]) -> str:
    """Return one structure as extended XYZ."""
    from ase.data import chemical_symbols

    voigt = row["stress"]
    full = [voigt[k] for k in (0, 5, 4, 5, 1, 3, 4, 3, 2)]
    keys = {
        "Lattice": words(np.ravel(row["cell"])),
        "Properties": "species:S:1:pos:R:3:forces:R:3:magmoms:R:1",
        "energy": repr(row["energy"]),
        "free_energy": repr(row["free_energy"]),
        "stress": words(full),
        "frame_id": row["key_value_pairs"]["frame_id"],
        "pbc": "T T T",
    }
    head = " ".join(f'{key}="{value}"' for key, value in keys.items())
    atoms = zip(row["numbers"], row["positions"], row["forces"], row["magmoms"], strict=True)
    lines = [f"{chemical_symbols[z]} {words(x)} {words(f)} {m!r}" for z, x, f, m in atoms]
    return "\n".join([str(len(row["numbers"])), head, *lines]) + "\n"


def words(values: Any) -> str:
    return " ".join(repr(float(value)) for value in values)


def vasprun_text(steps: list[dict[str, Any]], *, incar: str = "", version: str = "6.3.2", titles: Any = None) -> str:
    """Return a vasprun.xml; steps are crystals, with `free` (free energy) and `scf` (electronic steps) if given."""
    symbols = steps[0]["symbols"]
    titles = titles or {s: f"PAW_PBE {s} 06Sep2000" for s in symbols}
    atoms = "".join(f"<rc><c>{s} </c><c> 1</c></rc>\n" for s in symbols)
    types = "".join(
        f"<rc><c> 1</c><c>{s}</c><c> 1.0</c><c> 1.0</c><c> {titles[s]} </c></rc>\n" for s in dict.fromkeys(symbols)
    )
    head = f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
<generator><i name="version" type="string">{version}</i></generator>
<incar>{incar}</incar>
<parameters><separator name="electronic"><i type="int" name="NELM">    60</i><i name="PSTRESS">0.0</i>
<i type="string" name="GGA">--</i><i type="logical" name="LDAU"> F  </i></separator></parameters>
<atominfo><atoms> {len(symbols)} </atoms><array name="atoms"><set>
{atoms}</set></array><array name="atomtypes"><set>
{types}</set></array></atominfo>
"""
    return head + "".join(map(_calculation, steps)) + "</modeling>\n"


def _calculation(c: dict[str, Any]) -> str:
    free = c.get("free", c["energy"] - 0.02)
    last = f'<i name="e_fr_energy">{free + 1:.8f}</i><i name="e_0_energy">{c["energy"] + 1:.8f}</i>'
    return f"""<calculation>
{f"<scstep><energy>{last}</energy></scstep>" * c.get("scf", 3)}
<structure><crystal>{_varray("basis", c["lattice"])}</crystal>{_varray("positions", c["frac"])}</structure>
{_varray("forces", c["forces"])}
{_varray("stress", c["kbar"])}
<energy><i name="e_fr_energy">{free:.8f}</i><i name="e_wo_entrp">{c["energy"]:.8f}</i>
<i name="e_0_energy">{c.get("e_0", c["energy"]):.8f}</i></energy>
<eigenvalues><array><set><r> 1.0 2.0 </r></set></array></eigenvalues>
</calculation>
"""


def _varray(name: str, rows: Any) -> str:
    return f'<varray name="{name}">\n' + "".join(f"<v> {words(row)} </v>\n" for row in rows) + "</varray>"


# ----------------------------------------------------------------------------------------------------- importing


def imported(
    format: str, path: Path, functional: str, scale: str | None = None
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return the rows of the table that a file becomes, and reasons of rejections and of emptied labels, by name."""
    source = open_source(format, path, functional, scale)
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_frames([(source.records(), frozenset())], Path(folder), functional=functional, energy="energy")
        rows = read_frames(Path(folder) / "manifest.json").table.to_pylist()
    assert manifest["read"] == len(rows) + len(manifest["rejected"])
    reasons = {r["frame_id"]: r["reason"] for r in manifest["rejected"]}
    emptied = {name: entry["reason"] for entry in manifest["emptied"] for name in entry["frame_ids"]}
    return {row["frame_id"]: row for row in rows if row["frame_id"] not in emptied}, reasons | emptied


def assert_row_is(row: dict[str, Any], **wanted: Any) -> None:
    """Assert that a row holds these numbers to the last bit of its columns."""
    single = ("forces", "stress_gpa", "magmom")
    for name, value in wanted.items():
        if value is None or isinstance(value, str):
            assert row[name] == value, name
        else:
            expected = np.ravel(np.asarray(value, dtype=np.float64))
            expected = expected.astype(np.float32) if name in single else expected
            found = np.ravel(np.asarray(row[name], dtype=expected.dtype))
            np.testing.assert_array_equal(found, expected, err_msg=name)


# ----------------------------------------------------------------------------------------------------- mutations

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(
        [math.nan, math.inf, -math.inf, 1e300, -1e300, 0, -1, 10**30, "", "1.5", "Xx", "Uub", "Am", [], {}]
    ),
    st.floats(-1e6, 1e6),
    st.text(max_size=4),
    st.lists(st.floats(-10, 10), max_size=4),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


@st.composite
def mutations(draw: st.DrawFn, record: dict[str, Any]) -> dict[str, Any]:
    """Draw a record in which one or two values are replaced, removed, doubled or scaled."""
    record = copy.deepcopy(record)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(list(places(record))))
        holder = record
        for key in path[:-1]:
            holder = holder[key]
        key = path[-1]
        action = draw(st.sampled_from(["replace", "replace", "remove", "double", "scale"]))
        if action == "replace":
            holder[key] = draw(JUNK)
        elif action == "remove":
            del holder[key]
        elif action == "double" and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = holder[key] * 10 ** draw(st.integers(-3, 8))
    return record


def survives(read: Callable[[], tuple[dict[str, Any], dict[str, str]]]) -> tuple[dict[str, Any], dict[str, str]] | None:
    """Import; None where the file is refused with one clear error. Anything else that is raised fails the test."""
    try:
        return read()
    except FramesError:
        return None
