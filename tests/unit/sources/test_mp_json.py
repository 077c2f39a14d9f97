from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import (
    JSON_SETS,
    NESTED,
    assert_row_is,
    crystal,
    imported,
    json_record,
    json_text,
    mutations,
    survives,
)

from uprung.frames.schema import FramesError
from uprung.sources.common import NUMBERS
from uprung.sources.symbols import known

SETS = pytest.mark.parametrize("data_set", JSON_SETS)


def wanted(c: dict[str, Any]) -> dict[str, Any]:
    return {
        "Z": [NUMBERS[s] for s in c["symbols"]],
        "lattice": c["lattice"],
        "frac": c["frac"],
        "energy": c["energy"],
        "forces": c["forces"],
        "stress_gpa": -0.1 * np.array(c["kbar"]),
        "energy_free": None,
    }


def write(path: Path, data_set: str, records: dict[str, Any]) -> Path:
    path.write_text(json_text(data_set, records), encoding="utf-8")
    return path


@SETS
def test_rows_hold_the_numbers_of_the_file(data_set: str, tmp_path: Path) -> None:
    crystals = {f"mp-1-0-{k}": crystal(k) for k in range(3)}
    path = write(tmp_path / "x", data_set, {name: json_record(data_set, name, c) for name, c in crystals.items()})
    rows, rejected = imported(data_set, path, JSON_SETS[data_set])
    assert rejected == {}
    assert list(rows) == list(crystals)
    for name, c in crystals.items():
        assert_row_is(rows[name], **wanted(c), source=data_set, functional=JSON_SETS[data_set])
        has_moments = data_set in ("mptrj", "mp-r2scan")
        assert_row_is(rows[name], magmom=c["magmom"] if has_moments else None)
        assert rows[name]["correction"] == (pytest.approx(-0.5, abs=1e-12) if data_set == "mptrj" else None)


def test_materials_and_scales(tmp_path: Path) -> None:
    found = {}
    for data_set, functional in JSON_SETS.items():
        path = write(tmp_path / data_set, data_set, {"a": json_record(data_set, "a", crystal())})
        ((_, row),) = imported(data_set, path, functional)[0].items()
        found[data_set] = row["material_id"], row["label_scale"]
        assert imported(data_set, path, functional, "mine")[0]["a"]["label_scale"] == "mine"
    assert {name: material for name, (material, _) in found.items()} == {
        **dict.fromkeys(JSON_SETS, "mp-1"),
        "mp-aloe": "prototype-7-LiOFe",
    }
    assert len({scale for _, scale in found.values()}) == 4  # MPtrj and WBM share theirs
    assert found["mptrj"][1] == found["wbm-high-energy"][1]


@SETS
@pytest.mark.parametrize("pack", [gzip.compress, lambda data: b"\xef\xbb\xbf" + data, lambda data: b" \n" + data])
def test_layout_and_compression_are_told_from_the_content(data_set: str, pack: Callable, tmp_path: Path) -> None:
    """Nested, one list, or one record per line, under a name that says something else."""
    records = {n: json_record(data_set, n, crystal(k)) for k, n in enumerate("ab")}
    path = tmp_path / "x.json"
    path.write_bytes(pack(json_text(data_set, records).encode()))
    assert list(imported(data_set, path, JSON_SETS[data_set])[0]) == ["a", "b"]
    if data_set not in NESTED:  # MatPES per line, MP-ALOE as one list
        path.write_text(json.dumps(list(records.values()), indent=1))
        assert list(imported(data_set, path, JSON_SETS[data_set])[0]) == ["a", "b"]
        path.write_text("\n\n".join(map(json.dumps, records.values())))
        assert list(imported(data_set, path, JSON_SETS[data_set])[0]) == ["a", "b"]


def change(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(record: dict[str, Any]) -> None:
        for key in path[:-1]:
            record = record[key]
        if value is KeyError:
            del record[path[-1]]
        else:
            record[path[-1]] = value

    return apply


BAD = [
    (change("force", value=KeyError), "no 'force'"),
    (change("corrected_total_energy", value=KeyError), "no 'corrected_total_energy'"),
    (change("uncorrected_total_energy", value=None), "uncorrected_total_energy is no number, but 'None'"),
    (change("uncorrected_total_energy", value="-1.5"), "uncorrected_total_energy is no number, but '-1.5'"),
    (change("uncorrected_total_energy", value=float("nan")), "energy per atom nan eV/atom is beyond 1000"),
    (change("stress", 0, 0, value=float("nan")), "stress_gpa is not finite"),
    (change("structure", "lattice", "matrix", 0, 0, value=float("inf")), "lattice is not finite"),
    (change("uncorrected_total_energy", value=-1e7), "energy per atom -3.333e+06 eV/atom is beyond 1000"),
    (change("force", value=[[0.0, 0, 0]] * 2), "forces has shape (2, 3), not (3, 3)"),
    (change("force", 1, value=[0.0, 0]), "force is no list of equally long lists of numbers"),
    (change("force", 1, 2, value="0.1"), "force is no list of numbers: it holds str"),
    (change("force", 1, 2, value=None), "force is no list of numbers: it holds NoneType"),
    (change("force", 1, 2, value=True), "force is no list of numbers: it holds bool"),
    (change("stress", value=[1.0] * 5), "stress has 5 numbers; a stress has 6, or 3×3"),
    (change("stress", value=[[1.0] * 3] * 2), "stress has shape (2, 3); a stress has 6 numbers, or 3×3"),
    (change("stress", 0, 0, value=2e5), "stress 2e+04 GPa is beyond 10000"),
    (change("magmom", value=[1.0]), "magmom has shape (1,), not (3,)"),
    (change("magmom", 0, value=55.0), "magmom 55 μB is beyond 20"),
    (change("structure", value=None), "structure is not laid out as pymatgen's"),
    (change("structure", "sites", value=[]), "no atoms"),
    (change("structure", "sites", 0, "species", 0, "element", value="Am"), "element 'Am' is not one of H to Pu"),
    (change("structure", "sites", 0, "species", 0, "element", value="X"), "element 'X' is not one of H to Pu"),
    (change("structure", "sites", 0, "species", 0, "occu", value=0.5), "structure is disordered"),
    (change("structure", "sites", 0, "abc", value=[0.0, 0.0]), "abc is no list of equally long lists"),
    (change("structure", "lattice", "pbc", value=[True, True, False]), "structure is not periodic"),
    (change("structure", "lattice", "matrix", 0, value=[0.0, 0.0, 0.0]), "cell without volume"),
    (change("mp_id", value="mp-2"), "mp_id is 'mp-2', but the record stands under 'mp-1'"),
    (change("functional", value="SCAN"), "functional is 'SCAN', but this fidelity is 'PBE'"),
]


@pytest.mark.parametrize(("damage", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_a_bad_record_is_listed_with_its_reason(damage: Callable, reason: str, tmp_path: Path) -> None:
    bad = json_record("mptrj", "bad", crystal(1))
    damage(bad)
    path = write(tmp_path / "x", "mptrj", {"good": json_record("mptrj", "good", crystal()), "bad": bad})
    rows, rejected = imported("mptrj", path, "PBE")
    assert list(rows) == ["good"]
    assert list(rejected) == ["bad"]
    assert rejected["bad"].startswith(reason)


def test_labels_that_do_not_exist_are_null(tmp_path: Path) -> None:
    record = {**json_record("mptrj", "a", crystal()), "magmom": None, "stress": None, "corrected_total_energy": None}
    rows, _ = imported("mptrj", write(tmp_path / "x", "mptrj", {"a": record}), "PBE")
    assert_row_is(rows["a"], magmom=None, stress_gpa=None, correction=None)


def test_records_of_another_functional_or_another_length_are_listed(tmp_path: Path) -> None:
    records = {name: json_record("matpes", name, crystal(k)) for k, name in enumerate("abc")}
    records["b"]["functional"] = "PBE"
    records["c"]["nsites"] = 4
    rows, rejected = imported("matpes", write(tmp_path / "x", "matpes", records), "r2SCAN")
    assert list(rows) == ["a"]
    assert rejected == {
        "b": "functional is 'PBE', but this fidelity is 'r2SCAN'",
        "c": "nsites is 4, but the structure has 3 sites",
    }


def test_a_name_given_twice_is_listed(tmp_path: Path) -> None:
    one, two = (json.dumps(json_record("mptrj", "a", crystal(k))) for k in range(2))
    (tmp_path / "x").write_text(f'{{"mp-1": {{"a": {one}, "a": {two}}}}}')
    rows, rejected = imported("mptrj", tmp_path / "x", "PBE")
    assert_row_is(rows["a"], energy=crystal(0)["energy"])
    assert list(rejected) == ["a"]


@pytest.mark.parametrize(
    ("data_set", "functional", "message"),
    [("mptrj", "r2SCAN", "mptrj holds labels of PBE, but this fidelity is 'r2SCAN'"), ("mp-r2scan", "PBE", "r2SCAN")],
)
def test_a_set_without_the_functional_is_refused(data_set: str, functional: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x", data_set, {"a": json_record(data_set, "a", crystal())})
    with pytest.raises(FramesError, match=message):
        imported(data_set, path, functional)


def test_another_layout_is_refused_with_what_was_found(tmp_path: Path) -> None:
    """MatPES records behind the name of MPtrj: every record lacks what MPtrj has."""
    path = write(tmp_path / "x", "matpes", {str(k): json_record("matpes", str(k), crystal(k)) for k in range(3)})
    with pytest.raises(
        FramesError, match=r"no usable frame .* most often: expected the names of a material and a frame"
    ):
        imported("mptrj", path, "PBE")


# ---------------------------------------------------------------------------------------------------- mutations


def check_mutation(data_set: str, record: dict[str, Any]) -> None:
    """A mutated record among good ones becomes a row with exactly its numbers, or is listed; the others stay."""
    functional = JSON_SETS[data_set]
    records = {
        "before": json_record(data_set, "before", crystal(1)),
        "mutant": record,
        "after": json_record(data_set, "after", crystal(2)),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "x", data_set, records)
        rows, rejected = imported(data_set, path, functional)
    for name, seed in (("before", 1), ("after", 2)):
        assert_row_is(rows.pop(name), **wanted(crystal(seed)))
    assert len(rows) + len(rejected) == 1
    for row in rows.values():
        keys = {"wbm-high-energy": ("vasp_e", "vasp_f", "vasp_s"), "matpes": ("energy", "forces", "stress")}
        keys["mp-aloe"] = keys["matpes"]
        energy, forces, stress = keys.get(data_set, ("uncorrected_total_energy", "force", "stress"))
        sites = record["structure"]["sites"]
        assert_row_is(
            row,
            Z=[known(site["species"][0]["element"]) for site in sites],
            lattice=record["structure"]["lattice"]["matrix"],
            frac=[site["abc"] for site in sites],
            energy=record[energy],
            forces=record[forces],
        )
        if record[stress] is not None:
            given_stress = -0.1 * np.array(record[stress], dtype=np.float64)
            full = given_stress if given_stress.size == 9 else given_stress[[0, 5, 4, 5, 1, 3, 4, 3, 2]]
            assert_row_is(row, stress_gpa=full)
        if data_set == "mptrj":
            assert_row_is(row, magmom=record["magmom"])


def mutants() -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    return st.sampled_from(list(JSON_SETS)).flatmap(
        lambda data_set: st.tuples(st.just(data_set), mutations(json_record(data_set, "mutant", crystal())))
    )


@settings(max_examples=100, deadline=None)
@given(mutants())
def test_mutated_records(mutant: tuple[str, dict[str, Any]]) -> None:
    check_mutation(*mutant)


@pytest.mark.slow
@SETS
def test_a_thousand_mutated_records(data_set: str) -> None:
    @settings(max_examples=1000, deadline=None)
    @given(mutations(json_record(data_set, "mutant", crystal())))
    def run(record: dict[str, Any]) -> None:
        check_mutation(data_set, record)

    run()


@st.composite
def damaged_texts(draw: st.DrawFn) -> bytes:
    """Draw a file in which a few bytes are lost, exchanged or put in, or that is cut off."""
    text = bytearray(json_text("mptrj", {n: json_record("mptrj", n, crystal(k)) for k, n in enumerate("abc")}).encode())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text) - 1))
        action = draw(st.sampled_from(["cut", "remove", "exchange", "insert"]))
        if action == "cut":
            del text[at + 1 :]
        elif action == "remove":
            del text[at : at + draw(st.integers(1, 20))]
            text += b"" if text else b"{"
        else:
            text[at : at + (action == "exchange")] = draw(st.sampled_from(b'{}[],:"\\0x ').map(lambda b: bytes([b])))
    return bytes(text)


def check_damage(text: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(text)
        found = survives(lambda: imported("mptrj", path, "PBE"))
    try:
        json.loads(text)
    except ValueError:
        return
    assert found is None or sum(map(len, found)) >= 1


@settings(max_examples=100, deadline=None)
@given(damaged_texts())
def test_damaged_files_give_rows_rejections_or_one_error(text: bytes) -> None:
    check_damage(text)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(damaged_texts())
def test_a_thousand_damaged_files(text: bytes) -> None:
    check_damage(text)
