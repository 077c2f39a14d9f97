"""Files of strangers: no reader runs code that is in them, or imports what they name."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import pickle
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import numpy as np
import pytest
from ase.build import bulk
from layouts import (
    JSON_SETS,
    SCALE,
    ase_row,
    crystal,
    imported,
    json_record,
    json_text,
    scale_of,
    vasprun_text,
    write_aselmdb,
    write_sqlite,
    xyz_text,
)

from uprung.dft.structures import FORMATS, StructuresError, read_structures
from uprung.frames.schema import FramesError, Rejected
from uprung.job.files import LONGEST, file_name
from uprung.sources import READERS, open_source

#: Suffixes that formats usually have.
SUFFIXES = {"frames": ".parquet", "ase": ".extxyz", "omat": ".aselmdb", "vasprun": ".xml", "gpaw": ".jsonl"}


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a file that must not appear; a module `strangers` that creates it can be imported."""
    marker = tmp_path / "ran"
    module = tmp_path / "modules/strangers.py"
    module.parent.mkdir()
    module.write_text(
        f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n\n\nclass Any:\n"
        "    from_dict = classmethod(lambda cls, d: cls())\n"
    )
    monkeypatch.syspath_prepend(str(module.parent))
    yield marker
    assert not marker.exists()
    assert "strangers" not in sys.modules


def array(marker: Path) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Touch(marker)], dtype=object), allow_pickle=True)
    return stream.getvalue()


def named(module: str, name: str) -> dict[str, Any]:
    return {"@module": module, "@class": name, "@version": "1"}


def contents(marker: Path) -> dict[str, bytes]:
    """Return hostile files by what they are."""
    called = {"@module": "os", "@callable": "system", "@bound": None}
    objects = [named("strangers", "Any"), named("os", "system"), called, {"__ase_objtype__": "atoms"}]
    script = f"import pathlib; pathlib.Path({str(marker)!r}).touch()\n"
    return {
        "pickle": pickle.dumps(Touch(marker)),
        "pickle, protocol 0": pickle.dumps(Touch(marker), protocol=0),
        "pickle, compressed": gzip.compress(pickle.dumps([Touch(marker)])),
        "array of objects": array(marker),
        "objects in JSON": json.dumps(objects).encode(),
        "object in JSON": json.dumps({"a": {"b": objects[0]}}).encode(),
        "objects, by lines": b"".join(json.dumps(item).encode() + b"\n" for item in objects),
        "YAML": f"!!python/object/apply:os.system ['touch {marker}']".encode(),
        "Python": script.encode(),
        "ASE's old trajectory": b"PickleTrajectory" + pickle.dumps(Touch(marker), protocol=2),
    }


KINDS = list(contents(Path("x")))


@pytest.mark.parametrize("format", READERS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_reader_of_data_runs_code(tmp_path: Path, marker: Path, format: str, kind: str) -> None:
    file = tmp_path / f"data{SUFFIXES.get(format, '.json')}"
    file.write_bytes(contents(marker)[kind])
    functional = JSON_SETS.get(format, "PBE")
    source = open_source(format, file, functional, scale_of(format))
    found: list[object] = []
    with contextlib.suppress(ValueError):  # FramesError, or what pyarrow and the JSON parser say
        found += source.records()
    assert all(isinstance(record, Rejected) for record in found)


@pytest.mark.parametrize("data_set", JSON_SETS)
def test_classes_that_records_name_are_not_built(tmp_path: Path, marker: Path, data_set: str) -> None:
    record = json_record(data_set, "one", crystal())
    plain = json.loads(json.dumps(record))
    record |= named("strangers", "Any") | {"extra": named("strangers", "Any")}
    record["structure"] |= named("strangers", "Any")
    for site in record["structure"]["sites"]:
        site |= named("strangers", "Any")
        site["properties"]["who"] = named("strangers", "Any")
    for name, content in (("hostile", record), ("plain", plain)):
        (tmp_path / name).write_text(json_text(data_set, {"one": content}))
    rows, rejected = imported(data_set, tmp_path / "hostile", JSON_SETS[data_set])
    assert rejected == {}
    assert rows == imported(data_set, tmp_path / "plain", JSON_SETS[data_set])[0]


def hostile_row(name: str) -> dict[str, Any]:
    """Return a row of an ASE database whose info and constraints name classes."""
    values = {"frame_id": name, "who": named("strangers", "Any"), "what": {"__ase_objtype__": "bandpath"}}
    constraint = {"name": "strangers.Any", "kwargs": {}}
    return ase_row(crystal(), name) | {
        "key_value_pairs": values,
        "constraints": [constraint],
        "calculator": "strangers",
    }


def test_objects_in_databases_of_ase_are_not_built(tmp_path: Path, marker: Path) -> None:
    write_sqlite(tmp_path / "a.db", [hostile_row("one")])
    write_aselmdb(tmp_path / "a.aselmdb", [hostile_row("one")])
    for file in ("a.db", "a.aselmdb"):
        rows, rejected = imported("ase", tmp_path / file, "PBE", SCALE)
        assert (list(rows), rejected) == (["one"], {})


def test_pickled_rows_of_old_databases_are_rejected(tmp_path: Path, marker: Path) -> None:
    evil = pickle.dumps(Touch(marker))
    write_aselmdb(tmp_path / "a.aselmdb", [evil, zlib.compress(evil), ase_row(crystal(), "good")])
    rows, rejected = imported("omat", tmp_path / "a.aselmdb", "PBE")
    assert list(rows) == ["good"]
    assert rejected.keys() == {"a-1", "a-2"}
    assert all("damaged" in reason for reason in rejected.values())


def test_info_of_extended_xyz_stays_text(tmp_path: Path, marker: Path) -> None:
    text = xyz_text(ase_row(crystal(), "one"))
    more = ['who="_JSON {\\"@module\\": \\"strangers\\", \\"@class\\": \\"Any\\"}"', "what=__import__('strangers')"]
    (tmp_path / "a.extxyz").write_text(text.replace(' pbc="', f' {" ".join(more)} pbc="'))
    rows, rejected = imported("ase", tmp_path / "a.extxyz", "PBE", SCALE)
    assert (list(rows), rejected) == (["one"], {})


ENTITIES = {
    "a file of this machine": '<!DOCTYPE modeling [<!ENTITY a SYSTEM "file:///etc/hostname">]>',
    "a bomb": '<!DOCTYPE modeling [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
}


@pytest.mark.parametrize("kind", ENTITIES)
def test_xml_with_entities_of_its_own_is_refused(tmp_path: Path, kind: str) -> None:
    text = vasprun_text([crystal()])
    (tmp_path / "vasprun.xml").write_text(
        text.replace("<modeling>", f"{ENTITIES[kind]}\n<modeling>").replace("6.3.2", "&a;")
    )
    with pytest.raises(FramesError, match="XML, but no vasprun"):
        imported("vasprun", tmp_path / "vasprun.xml", "PBE", SCALE)
    (tmp_path / "vasprun.xml").write_text(text.replace("<incar>", f"{ENTITIES[kind]}\n<incar>"))
    with pytest.raises(FramesError, match="XML is cut off or damaged after 0 complete ionic steps"):
        imported("vasprun", tmp_path / "vasprun.xml", "PBE", SCALE)


# -------------------------------------------------------------------------------------- structures to be labelled

NAMES = ("a.traj", "a.xyz", "a.extxyz", "a.cif", "POSCAR", "a.json", "a.db", "a.pckl", "a.pkl", "a.py", "a.bundle")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_no_reader_of_structures_runs_code(tmp_path: Path, marker: Path, name: str, kind: str) -> None:
    folder = tmp_path / "structures"
    folder.mkdir()
    (folder / name).write_bytes(contents(marker)[kind])
    for path in (folder / name, folder):
        with pytest.raises(StructuresError, match=name):
            read_structures(path, 1.0)


def test_constraints_of_databases_are_not_imported(tmp_path: Path, marker: Path) -> None:
    with ase.db.connect(tmp_path / "a.json") as database:
        database.write(bulk("Si"), data={"who": named("strangers", "Any")})
    text = (tmp_path / "a.json").read_text()
    assert '"pbc"' in text
    found = read_structures(tmp_path / "a.json", 1.0)
    assert len(found) == 1
    hostile = text.replace('"pbc"', '"constraints": [{"name": "strangers.Any", "kwargs": {}}],\n  "pbc"')
    (tmp_path / "a.json").write_text(hostile)
    with pytest.raises(StructuresError, match=r"a\.json: cannot be read"):
        read_structures(tmp_path / "a.json", 1.0)


def test_a_format_of_other_programs_is_refused_with_those_that_are_read(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "a.gen", bulk("Si"))
    with pytest.raises(
        StructuresError, match=r"a\.gen: cannot be read: .*'gen' is not read \(allowed: extxyz, xyz, cif"
    ):
        read_structures(tmp_path / "a.gen", 1.0)
    assert not {"bundletrajectory", "postgresql", "mysql", "castep-cell"} & set(FORMATS)


@pytest.mark.parametrize("name", ["a.extxyz", "a.xyz", "a.cif", "POSCAR", "a.json", "a.db", "a.traj", "a.xsf"])
def test_formats_that_are_named_in_the_manual_are_read(tmp_path: Path, name: str) -> None:
    ase.io.write(tmp_path / name, bulk("Si"))
    (found,) = read_structures(tmp_path / name, 1.0)
    assert len(found.atoms) == 2
    assert found.atoms.get_volume() == pytest.approx(bulk("Si").get_volume(), rel=1e-3)


# ---------------------------------------------------------------------------------------------- names in the data


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/x", "..", ".", "a/b", "a\\b", "x\x00y", "é", ".hidden", "a b", "x" * 999]
)
def test_a_name_in_data_is_one_component_of_a_path(tmp_path: Path, name: str) -> None:
    path = tmp_path / file_name(name)
    path.mkdir()
    assert path.resolve().parent == tmp_path.resolve()
    assert len(path.name) <= LONGEST
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_are_harmless_stay_and_others_do_not_meet() -> None:
    assert file_name("mp-1_Fe2O3.r-00") == "mp-1_Fe2O3.r-00"
    names = ["a/b", "a%2Fb", "a b", "a_b", "A/b", "x" * 181, "x" * 182, ".a", "%2Ea"]
    assert len({file_name(name) for name in names}) == len(names)
    with pytest.raises(ValueError, match="empty"):
        file_name("")
