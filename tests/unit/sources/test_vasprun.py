from __future__ import annotations

import gzip
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import SCALE, assert_row_is, crystal, imported, survives, vasprun_text

from uprung.frames.schema import FramesError, Rejected
from uprung.sources import READERS

REAL = Path(ase.__file__).parent / "test" / "testdata" / "vasp"
NaCl = {"symbols": ["Na", "Na", "Cl"]}


def run(k: int = 0, **changes: Any) -> dict[str, Any]:
    return {**crystal(k), **NaCl, **changes}


def rows_of(path: Path, functional: str = "PBE") -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    return imported("vasprun", path, functional, SCALE)


def records(path: Path, functional: str = "PBE") -> list[Any]:
    return list(READERS["vasprun"].read(path, functional, SCALE))


def reasons(path: Path, functional: str = "PBE") -> dict[str, str]:
    return {r.frame_id: r.reason for r in records(path, functional) if isinstance(r, Rejected)}


def test_every_ionic_step_is_a_row(tmp_path: Path) -> None:
    steps = [run(k) for k in range(3)]
    (tmp_path / "vasprun.xml").write_text(vasprun_text(steps))
    rows, rejected = rows_of(tmp_path / "vasprun.xml")
    assert rejected == {}
    assert list(rows) == ["vasprun-0", "vasprun-1", "vasprun-2"]
    for row, c in zip(rows.values(), steps, strict=True):
        assert_row_is(
            row,
            Z=[11, 11, 17],
            lattice=c["lattice"],
            frac=c["frac"],
            energy=round(c["energy"], 8),
            energy_free=round(c["energy"] - 0.02, 8),
            forces=c["forces"],
            stress_gpa=-0.1 * np.array(c["kbar"]),
            magmom=None,
            material_id="Na2Cl",
            label_scale=SCALE,
            run_type="PBE",
        )


def test_a_folder_of_runs_names_frames_by_their_places(tmp_path: Path) -> None:
    for k, place in enumerate(["a/relax/vasprun.xml", "a/static/vasprun.xml.gz", "b/vasprun.relax2.xml"]):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        text = vasprun_text([run(k)]).encode()
        path.write_bytes(gzip.compress(text) if k == 1 else text)
    (tmp_path / "b" / "vasprun.xml").write_text("<html>no such file</html>")
    (tmp_path / "b" / "OUTCAR").write_text("not looked at")
    rows, rejected = rows_of(tmp_path)
    assert list(rows) == ["a/relax-0", "a/static-0", "b/relax2-0"]
    assert rejected == {
        "b": "expected a vasprun.xml of VASP, plain or compressed, but the file is an HTML page, so the download failed"
    }


def test_steps_of_a_run_are_one_trajectory(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "vasprun.xml").write_text(vasprun_text([run(0), run(1)]))
    rows, _ = rows_of(tmp_path)
    assert [row["trajectory"] for row in rows.values()] == ["a", "a", "b", "b"]


def test_a_run_is_of_the_crystal_and_simulation_that_stand_beside_it(tmp_path: Path) -> None:
    stated = {"material_id": "mp-22862", "trajectory": "salt-1"}
    for name, text in {"a": json.dumps(stated), "b": "{", "c": '{"material_id": 3}'}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "vasprun.xml").write_text(vasprun_text([run()]))
        (tmp_path / name / "uprung-state.json").write_text(text)
    rows, rejected = rows_of(tmp_path)
    (row,) = rows.values()
    assert (row["frame_id"], row["material_id"], row["trajectory"]) == ("a-0", "mp-22862", "salt-1")
    assert rejected.keys() == {"b", "c"}
    assert "uprung-state.json beside the run is no JSON" in rejected["b"]
    assert "does not give material_id, trajectory as text" in rejected["c"]
    assert tmp_path / "a" / "uprung-state.json" in READERS["vasprun"].files(tmp_path)  # its hash is in the manifest


def test_wrong_e0_of_old_versions_is_repaired_and_said(tmp_path: Path) -> None:
    """VASP 5 writes −TS or 0 where E0 should be; the last electronic step has the right difference."""
    (tmp_path / "x").write_text(vasprun_text([run(0, e_0=0.0), run(1)], version="5.4.4"))
    rows, _ = rows_of(tmp_path / "x")
    assert rows["x-0"]["energy"] == pytest.approx(run(0)["energy"], abs=1e-7)
    assert rows["x-0"]["provenance"].endswith("; E0 from the last electronic step")
    assert rows["x-1"]["energy"] == round(run(1)["energy"], 8)
    assert "E0" not in rows["x-1"]["provenance"]


def test_real_files_of_vasp() -> None:
    """Two runs that ASE ships: one with an external pressure, one of linear response; neither has plain energies."""
    assert reasons(REAL, "LDA") == {
        "dfpt": "LEPSILON is on: the run is linear response, whose electronic steps are not those of the ground state",
        "pstress": "PSTRESS = 1.00000000 kbar: the energies contain an external pressure",
    }


def test_numbers_of_a_real_file(tmp_path: Path) -> None:
    text = (REAL / "vasprun_pstress.xml").read_text(encoding="latin1")
    (tmp_path / "vasprun.xml").write_text(text.replace('"PSTRESS">      1.0', '"PSTRESS">      0.0'))
    assert reasons(tmp_path) == {"vasprun": "functional is LDA, but this fidelity is 'PBE'"}  # PAW C 22Mar2012
    rows, rejected = rows_of(tmp_path, "LDA")
    assert rejected == {}
    assert_row_is(
        rows["vasprun-0"],
        Z=[6, 6],
        lattice=[[0, 1.785, 1.785], [1.785, 0, 1.785], [1.785, 1.785, 0]],
        frac=[[0, 0, 0], [0.25, 0.25, 0.25]],
        energy=-20.24010135,
        energy_free=-20.23985977,
        forces=np.zeros((2, 3)),
        stress_gpa=16.599562580 * np.eye(3),
    )


SWITCHES = [
    ('<i name="LHFCALC"> T </i>', "LHFCALC is on: the run is a hybrid functional"),
    ('<i name="ML_LMLFF">.TRUE.</i>', "ML_LMLFF is on: the run is a machine-learnt force field"),
    ('<i name="PSTRESS"> 10.0</i>', "PSTRESS = 10.0 kbar"),
    ('<i name="ICHARG"> 11 </i>', "ICHARG = 11: the density is not self-consistent"),
    ('<i name="METAGGA">R2SCAN</i>', "functional is r2SCAN, but this fidelity is 'PBE'"),
    ('<i name="GGA">PS</i>', "functional is PBEsol, but this fidelity is 'PBE'"),
    ('<i name="NELM"> x </i>', "NELM = 'x' is no number"),
]


@pytest.mark.parametrize(("incar", "reason"), SWITCHES, ids=[reason for _, reason in SWITCHES])
def test_runs_of_another_kind_are_listed_once(incar: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(vasprun_text([run(), run(1)], incar=incar))
    listed = reasons(tmp_path / "x")
    assert all(found.startswith(reason) for found in listed.values())
    assert len(listed) == (2 if "NELM" in reason else 1)


@pytest.mark.parametrize(("incar", "functional"), [("R2SCAN", "r2SCAN"), ("R2SCA ", "r²SCAN"), ("SCAN", "SCAN")])
def test_functionals_are_told_from_the_input(incar: str, functional: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(vasprun_text([run()], incar=f'<i type="string" name="METAGGA">{incar}</i>'))
    assert list(rows_of(tmp_path / "x", functional)[0]) == ["x-0"]


def test_other_potentials_or_another_u_are_mixed_label_scales(tmp_path: Path) -> None:
    u = '<i name="LDAU"> T </i><v name="LDAUU"> 4.0 0.0 </v>'
    runs = {
        "1-first": vasprun_text([run()]),
        "2-same": vasprun_text([run(1)]),
        "3-potential": vasprun_text([run(2)], titles={"Na": "PAW_PBE Na_pv 19Sep2006", "Cl": "PAW_PBE Cl 06Sep2000"}),
        "4-u": vasprun_text([run(3)], incar=u),
    }
    for name, text in runs.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "vasprun.xml").write_text(text)
    assert reasons(tmp_path) == {
        "3-potential": "mixed label scales: potential of Na is 'PAW_PBE Na_pv 19Sep2006' here, 'PAW_PBE Na 06Sep2000' "
        "in an earlier run",
        "4-u": "mixed label scales: U of Na is '4.0' here, '0' in an earlier run",
    }


def test_bad_steps_are_listed_and_the_others_kept(tmp_path: Path) -> None:
    steps = [run(0), run(1, scf=60), run(2, forces=[[0.0, 0.0, 0.0]]), run(3)]
    text = vasprun_text(steps)
    numbers = re.findall(r"<v> \S+ \S+ \S+ </v>", text)
    text = text.replace(numbers[-1], "<v> ******** 0.0 0.0 </v>")
    (tmp_path / "x").write_text(text)
    rows, rejected = rows_of(tmp_path / "x")
    assert list(rows) == ["x-0"]
    assert rejected == {
        "x-1": "not converged: 60 electronic steps reach NELM = 60",
        "x-2": "forces has shape (1, 3), not (3, 3)",
        "x-3": "'********' is no number",
    }


def test_a_run_that_breaks_off_keeps_its_complete_steps(tmp_path: Path) -> None:
    text = vasprun_text([run(k) for k in range(3)])
    (tmp_path / "vasprun.xml").write_text(text[: text.rindex("<varray")])
    rows, rejected = rows_of(tmp_path)
    assert list(rows) == ["vasprun-0", "vasprun-1"]
    assert rejected["vasprun"].startswith("the XML is cut off or damaged after 2 complete ionic steps: ")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FramesError, match=r"no file vasprun\*\.xml\* in or below this folder"):
        records(tmp_path)
    (tmp_path / "vasprun.xml").write_text("{}")
    with pytest.raises(FramesError, match=r"vasprun\.xml: expected a vasprun\.xml of VASP, .* but the file is JSON"):
        records(tmp_path / "vasprun.xml")
    (tmp_path / "vasprun.xml").write_text("<modeling></modeling>")
    assert reasons(tmp_path) == {"vasprun": "the run has no ionic step"}


# ---------------------------------------------------------------------------------------------------- mutations


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """Draw a run of three steps in which words of the second are exchanged, lines lost, or a few bytes broken."""
    text = vasprun_text([run(k) for k in range(3)])
    begin, end = (m.start() for m in list(re.finditer("<calculation>", text))[1:])
    step = text[begin:end]
    action = draw(st.sampled_from(["word", "line", "byte", "cut"]))
    if action == "word":
        word = draw(st.sampled_from(list(re.finditer(r"[-\d.]+", step))))
        junk = draw(st.sampled_from(["nan", "inf", "1e400", "", "*****", "-1.0-2.0", "x", "1 2", "0", "1e5"]))
        return text[:begin] + step[: word.start()] + junk + step[word.end() :] + text[end:]
    if action == "line":
        lines = step.splitlines(keepends=True)
        k = draw(st.integers(0, len(lines) - 1))
        lines[k : k + 1] = draw(st.sampled_from([[], [lines[k]] * 2]))
        return text[:begin] + "".join(lines) + text[end:]
    at = draw(st.integers(begin, end))
    return text[:at] if action == "cut" else text[:at] + draw(st.sampled_from('<>/"&x9 ')) + text[at + 1 :]


def check_damage(text: str) -> None:
    """The first step stays; each further row has the numbers that stand in its part of the text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_text(text)
        found = survives(lambda: rows_of(path))
    assert found is not None
    rows, rejected = found
    assert_row_is(rows["x-0"], energy=round(run(0)["energy"], 8), forces=run(0)["forces"])
    assert len(rows) == 3 or rejected
    parts = text.split("<calculation>")[1:]
    for name, row in rows.items():
        part = parts[int(name.split("-")[1])]
        forces = re.search(r'"forces"\s*>(.*?)</varray', part, re.DOTALL)
        inside = " ".join(re.findall(r"<v>(.*?)</v>", forces[1], re.DOTALL)) if forces else ""  # not between two rows
        numbers = re.findall(r"[^\s<>]*\d[^\s<>]*", inside)
        if row["forces"] is None:
            assert not forces or "forces" not in part.split("<varray")
        else:
            assert_row_is(row, forces=[float(number) for number in numbers])


@settings(max_examples=50, deadline=None)
@given(damaged())
def test_damaged_runs(text: str) -> None:
    check_damage(text)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(damaged())
def test_a_thousand_damaged_runs(text: str) -> None:
    check_damage(text)
