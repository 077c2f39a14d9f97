"""What decides a label: one value in a fidelity, refused where it makes the label another quantity."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layouts import SCALE, ase_row, crystal, json_record, json_text, vasprun_text, write_aselmdb, write_sqlite, xyz_text

from uprung.config.data import Source
from uprung.frames.intake import write_frames
from uprung.frames.schema import Frame, Rejected
from uprung.labels.settings import unlike_settings
from uprung.sources import OpenSource
from uprung.sources.common import same_functional
from uprung.sources.settings import Settings
from uprung.sources.vasp_settings import Input, functional_of

VALENCE = "<c> 1.0</c><c> {} </c>"


def read(
    folder: Path, runs: dict[str, str], functional: str = "PBE", **stated: Any
) -> tuple[dict[str, Frame], dict[str, str], Settings]:
    """Return frames, reasons of rejections and settings of runs (name -> vasprun.xml)."""
    for name, text in runs.items():
        (folder / name).mkdir()
        (folder / name / "vasprun.xml").write_bytes(text.encode("latin-1"))
    return opened("vasprun", folder, functional, SCALE, **stated)


def opened(
    format: str, path: Path, functional: str = "PBE", scale: str | None = None, **stated: Any
) -> tuple[dict[str, Frame], dict[str, str], Settings]:
    settings = Settings()
    source = Source.model_validate({"format": format, "file": str(path), "label_scale": scale, "settings": stated})
    found = list(OpenSource(source, path, functional, settings).records())
    frames = {record.frame_id: record for record in found if isinstance(record, Frame)}
    return frames, {record.frame_id: record.reason for record in found if isinstance(record, Rejected)}, settings


def text(incar: str = "", **changes: Any) -> str:
    """Return a run of LiOFe with keys of INCAR: `A=1 B=T`."""
    items = "".join(f'<i name="{key}"> {value} </i>' for key, value in (pair.split("=") for pair in incar.split()))
    return vasprun_text([crystal(changes.pop("seed", 0))], incar=items + changes.pop("more", ""), **changes)


# ---------------------------------------------------------------------------------------------- one value of each

DIFFERING = [
    ("ENCUT=680 ISPIN=2", "ENCUT=250 ISPIN=1", "ENCUT is '250' here, '680' in an earlier run"),  # mixed-encut-ispin
    ("ISPIN=2", "ISPIN=1", "ISPIN is '1' here, '2'"),
    ("ISPIN=2", "", "ISPIN is '1' here, '2'"),  # VASP's default
    ("LASPH=T", "", "LASPH is 'F' here, 'T'"),
    ("PREC=Accurate", "PREC=Normal", "PREC is 'N' here, 'A'"),
    ("LREAL=Auto", "LREAL=F", "LREAL is 'F' here, 'A'"),
    ("ISMEAR=0 SIGMA=0.05", "ISMEAR=0 SIGMA=0.2", "SIGMA is '0.2' here, '0.05'"),
    ("ISMEAR=0", "ISMEAR=-1", "ISMEAR is '-1' here, '0'"),
    ("KSPACING=0.22", "KSPACING=0.5", "KSPACING is '0.5' here, '0.22'"),
    ("", "KSPACING=0.5", "KSPACING is '0.5' here, 'not set'"),
    ("LNEWPHYSICS=T", "", "LNEWPHYSICS is 'not set' here, 'T'"),  # a key that uprung does not know
    ("GGA_COMPAT=F", "", "GGA_COMPAT is 'T' here, 'F'"),
    ("LNONCOLLINEAR=T", "", "LNONCOLLINEAR is 'F' here, 'T'"),
]


@pytest.mark.parametrize(("first", "second", "reason"), DIFFERING)
def test_a_fidelity_has_one_value_of_each_setting(first: str, second: str, reason: str, tmp_path: Path) -> None:
    frames, rejected, settings = read(tmp_path, {"a": text(first), "b": text(second, seed=1)})
    assert list(frames) == ["a-0"]
    assert rejected["b"].startswith(f"mixed label scales: {reason}")
    key = reason.split()[0]
    assert len(settings.facts()[key]) == 1


def test_what_changes_no_label_may_differ(tmp_path: Path) -> None:
    second = (
        "ALGO=Fast NPAR=8 ISYM=0 EDIFF=1E-6 NSW=50 IBRION=2 SYSTEM=x LMAXMIX=6 ENCUT=520.0 LASPH=.TRUE. ML_MODE=run"
    )
    frames, rejected, settings = read(tmp_path, {"a": text("ENCUT=520 LASPH=T"), "b": text(second, seed=1)})
    assert (list(frames), rejected) == (["a-0", "b-0"], {})
    assert settings.facts()["ENCUT"] == {"520": 2}


def test_the_study_states_what_differs(tmp_path: Path) -> None:
    runs = {"a": text("ENCUT=680"), "b": text("ENCUT=520", seed=1), "c": text("ENCUT=250", seed=2)}
    frames, rejected, settings = read(tmp_path, runs, ENCUT=[520, 680])
    assert list(frames) == ["a-0", "b-0"]
    assert rejected == {"c": "ENCUT is '250', but the study file states 520, 680 (`settings`)"}
    assert settings.facts()["ENCUT"] == {"680": 1, "520": 1}
    assert list(opened("vasprun", tmp_path, "PBE", SCALE, ENCUT="any")[0]) == ["a-0", "b-0", "c-0"]


def test_sources_of_a_fidelity_share_their_settings(tmp_path: Path) -> None:
    settings = Settings()
    kept = []
    for name, incar in (("a", "ENCUT=680"), ("b", "ENCUT=520")):
        (tmp_path / f"{name}.xml").write_text(text(incar))
        source = Source(format="vasprun", file=name, label_scale=SCALE)
        kept += list(OpenSource(source, tmp_path / f"{name}.xml", "PBE", settings).records())
    assert [isinstance(record, Frame) for record in kept] == [True, False]


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ('<v name="LDAUU"> 0 0 4</v><v name="LDAUJ">0 0 1</v><v name="LDAUL">-1 -1 2</v>', "J of Fe with O is '1'"),
        ('<v name="LDAUU"> 0 0 5</v><v name="LDAUJ">0 0 0</v><v name="LDAUL">-1 -1 2</v>', "U of Fe with O is '5'"),
        (
            '<v name="LDAUU"> 0 0 4</v><v name="LDAUJ">0 0 0</v><v name="LDAUL">-1 -1 3</v>',
            "l of U of Fe with O is '3'",
        ),
        ('<v name="LDAUU"> 0 3 4</v><v name="LDAUJ">0 0 0</v><v name="LDAUL">-1 1 2</v>', "U of O with O is '3'"),
    ],
)
def test_u_j_and_shell_are_one_for_each_element(second: str, reason: str, tmp_path: Path) -> None:
    first = '<v name="LDAUU"> 0 0 4</v><v name="LDAUJ">0 0 0</v><v name="LDAUL">-1 -1 2</v>'
    runs = {k: text("LDAU=T LDAUTYPE=1", more=more) for k, more in (("a", first), ("b", second))}
    frames, rejected, _ = read(tmp_path, runs)
    assert list(frames) == ["a-0"]
    assert rejected["b"].startswith(f"mixed label scales: {reason}")


# ------------------------------------------------------------------------------------------- another quantity

FOREIGN = [
    "I_CONSTRAINED_M=1", "NUPDOWN=3", "LSOL=T", "ISOL=2", "EFIELD=0.1", "EFIELD_PEAD=0.01", "LDIPOL=T", "IDIPOL=3",
    "LMONO=T", "PSTRESS=10", "ICHARG=11", "LSPIRAL=T", "ISMEAR=-2", "SCALEE=0.5", "MDALGO=21", "IBRION=8", "ALGO=GW0",
    "ALGO=Nothing", "AGGAC=0", "ICORELEVEL=2", "IMAGES=4",
]  # fmt: skip


@pytest.mark.parametrize("incar", FOREIGN)
def test_labels_of_another_quantity_are_refused_unless_the_study_states_them(incar: str, tmp_path: Path) -> None:
    frames, rejected, _ = read(tmp_path, {"a": text(incar)})
    key, value = incar.split("=")
    assert frames == {}
    assert rejected["a"].startswith(f"{key} = {value}")
    frames, rejected, settings = opened("vasprun", tmp_path, "PBE", SCALE, **{key: value})
    assert (list(frames), rejected) == (["a-0"], {})
    assert list(settings.facts()[key].values()) == [1]


def test_keys_of_the_resolved_parameters_count_as_those_of_incar(tmp_path: Path) -> None:
    resolved = text().replace('<i name="PSTRESS">0.0</i>', '<i name="EFIELD">0.2</i><v name="VCA"> 0.5 0.5 1.0</v>')
    assert "EFIELD = 0.2: there is an electric field" in read(tmp_path, {"a": resolved})[1]["a"]
    vca = resolved.replace('"EFIELD">0.2', '"EFIELD">0.0')
    assert "virtual crystal" in read(tmp_path, {"b": vca})[1]["b"]


FUNCTIONALS = [
    ("METAGGA=R2SCAN LUSE_VDW=T", "r2SCAN+rVV10"), ("GGA=PE IVDW=12", "PBE+D3(BJ)"), ("GGA=PE IVDW=11", "PBE+D3"),
    ("GGA=PE LVDW=T", "PBE+D2"), ("GGA=PE IVDW=4", "PBE+dDsC"), ("GGA=PE LSORBIT=T", "PBE+SOC"),
    ("METAGGA=R2SCAN IVDW=13", "r2SCAN+D4"), ("GGA=RP", "RPBE"), ("METAGGA=-- GGA=PS", "PBEsol"),
    ("GGA=PE METAGGA=SCAN", "SCAN"), ("GGA=BO LUSE_VDW=T", "BO+vdW-DF"),
]  # fmt: skip


@pytest.mark.parametrize(("incar", "name"), FUNCTIONALS)
def test_a_functional_has_its_dispersion_and_spin_orbit_coupling_in_its_name(
    incar: str, name: str, tmp_path: Path
) -> None:
    told = Input(incar=dict(pair.split("=") for pair in incar.split()))
    assert functional_of(told) == name
    plain = name.split("+")[0] if "+" in name else "PBE"
    assert read(tmp_path, {"a": text(incar)}, plain)[1]["a"] == f"functional is {name}, but this fidelity is {plain!r}"
    assert list(opened("vasprun", tmp_path, name, SCALE)[0]) == ["a-0"]


def test_a_functional_is_the_same_in_every_spelling() -> None:
    assert same_functional("PBE-D3(BJ)", "PBE+D3BJ")
    assert not same_functional("PBE+D3", "PBE")


def test_a_charged_cell_is_refused(tmp_path: Path) -> None:
    neutral = text().replace('<i type="int" name="NELM">', '<i name="NELECT"> 3.0 </i><i type="int" name="NELM">')
    charged = neutral.replace("3.0 </i>", "2.0 </i>")
    frames, rejected, settings = read(tmp_path, {"0": neutral, "1": charged})
    assert list(frames) == ["0-0"]
    assert rejected == {"1": "NELECT = 2, neutral is 3: the cell is charged"}
    assert settings.facts()["charge"] == {"0": 1}
    assert list(opened("vasprun", tmp_path, "PBE", SCALE, charge=[0, 1])[0]) == ["0-0", "1-0"]


def test_a_charge_where_one_element_has_two_potentials(tmp_path: Path) -> None:
    run = text("NELECT=27", seed=0).replace("Li", "Fe")
    species = "<rc><c> {} </c><c>Fe</c><c> 1.0</c><c> {} </c><c> PAW_PBE Fe{} 06Sep2000 </c></rc>"
    head, tail = run.split('<array name="atomtypes"><set>')
    oxygen = "<rc><c> 1 </c><c>O </c><c> 1.0</c><c> 6.0 </c><c> PAW_PBE O 08Apr2002 </c></rc>"
    kinds = species.format(1, 8.0, "") + oxygen + species.format(1, 14.0, "_pv")
    made = f'{head}<array name="atomtypes"><set>{kinds}</set>{tail.partition("</set>")[2]}'
    frames, rejected, _ = read(tmp_path, {"a": made, "b": made.replace("27", "28")})
    assert rejected == {"a": "NELECT = 27, neutral is 28: the cell is charged"}
    assert list(frames) == ["b-0"]


@pytest.mark.parametrize(
    ("incar", "there"), [("ISIF=1", False), ("ISIF=0", False), ("ISIF=2", True), ("IBRION=0", False)]
)
def test_a_trace_is_no_stress(incar: str, there: bool, tmp_path: Path) -> None:
    frame = read(tmp_path, {"a": text(incar)})[0]["a-0"]
    assert (frame.stress_gpa is not None) is there
    assert ("stress_gpa" in frame.missing) is not there
    assert ("no stress: VASP computes no tensor with ISIF" in frame.provenance) is not there
    if frame.stress_gpa is not None:
        np.testing.assert_allclose(frame.stress_gpa, -0.1 * np.array(crystal()["kbar"]))


def test_frames_without_a_tensor_are_counted_and_kept(tmp_path: Path) -> None:
    for name, incar in (("a", "ISIF=1"), ("b", "ISIF=0"), ("c", "ISIF=3")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vasprun.xml").write_text(text(incar))
    records = OpenSource(Source(format="vasprun", file=str(tmp_path), label_scale="s"), tmp_path, "PBE").records()
    manifest = write_frames([(records, frozenset())], tmp_path / "out", functional="PBE", needed=["stress"])
    assert (manifest["written"], manifest["labels"]["stress_gpa"]) == (3, 1)
    assert [(entry["label"], entry["reason"][-8:], entry["frame_ids"]) for entry in manifest["emptied"]] == [
        ("stress_gpa", "ISIF = 1", ["a-0"]),
        ("stress_gpa", "ISIF = 0", ["b-0"]),
    ]


def test_potentials_that_differ_between_the_fidelities_are_a_finding() -> None:
    low = {"settings": {"potential of Lu": {"PAW_PBE Lu 23Dec2003": 4}, "ENCUT": {"520": 4}, "LASPH": {"F": 4}}}
    high = {"settings": {"potential of Lu": {"PAW_PBE Lu_3 06Sep2000": 2}, "ENCUT": {"520": 2}, "LASPH": {"T": 2}}}
    assert unlike_settings(low, high) == [
        "pseudopotentials differ between the fidelities: Lu PAW_PBE Lu 23Dec2003 (low), PAW_PBE Lu_3 06Sep2000 (high)"
    ]
    high["settings"]["ENCUT"] = {"680": 2}
    assert "settings differ between the fidelities: ENCUT 520 (low), 680 (high)" in unlike_settings(low, high)
    assert unlike_settings(low, low) == unlike_settings({}, high) == []


# --------------------------------------------------------------------------------------- symbols and texts


@pytest.mark.parametrize(
    ("symbol", "title", "Z"),
    [
        ("r", "PAW_PBE Zr_sv 04Jan2005", 40),
        ("X", "PAW_PBE Xe 07Sep2000", 54),
        ("D", "PAW_PBE H 15Jun2001", 1),
        ("T", "PAW_PBE H 15Jun2001", 1),
    ],
)
def test_symbols_that_vasp_cut_off_are_read_from_the_titles(symbol: str, title: str, Z: int, tmp_path: Path) -> None:
    cut = vasprun_text([crystal(0, (symbol, "O", "O"))], titles={symbol: title, "O": "PAW_PBE O 08Apr2002"})
    frames, rejected, _ = read(tmp_path, {"a": cut})
    assert rejected == {}
    assert frames["a-0"].Z.tolist() == [Z, 8, 8]


@pytest.mark.parametrize(
    ("symbol", "title", "reason"),
    [
        ("r", "unknown", "element 'r' is not one of H to Pu"),
        (
            "B",
            "PAW_PBE Be 06Sep2000",
            "element 'B' has the potential 'PAW_PBE Be 06Sep2000', which is that of another one",
        ),
        ("H", "PAW_PBE H1.25 07Sep2000", "potential 'PAW_PBE H1.25 07Sep2000' is a fraction of a hydrogen atom"),
    ],
)
def test_symbols_that_nothing_explains_are_refused(symbol: str, title: str, reason: str, tmp_path: Path) -> None:
    cut = vasprun_text([crystal(0, (symbol, "O", "O"))], titles={symbol: title, "O": "PAW_PBE O 08Apr2002"})
    assert read(tmp_path, {"a": cut})[1]["a"].startswith(reason)


def test_a_mark_and_line_ends_of_windows_change_nothing(tmp_path: Path) -> None:
    row = ase_row(crystal(), "a")
    texts = {
        "vasprun": text("SYSTEM=Ångström").encode("latin-1"),
        "ase": xyz_text(row).encode(),
        "mptrj": json_text("mptrj", {"a": json_record("mptrj", "a", crystal())}).encode(),
    }
    for format, content in texts.items():
        scale = None if format == "mptrj" else SCALE
        for k, written in enumerate((content, content.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + content)):
            path = tmp_path / f"{format}-{k}"
            path.write_bytes(written)
            frames, rejected, _ = opened(format, path, "PBE", scale)
            assert rejected == {}, (format, k)
            (frame,) = frames.values()
            np.testing.assert_array_equal(frame.forces, crystal()["forces"], err_msg=f"{format} {k}")


def test_extended_xyz_in_another_encoding_is_refused_and_deuterium_is_read(tmp_path: Path) -> None:
    row = ase_row(crystal(), "a")
    written = xyz_text(row)
    (tmp_path / "x").write_bytes(written.replace("frame_id=", 'unit="Å" frame_id=').encode("latin-1"))
    assert opened("ase", tmp_path / "x", "PBE", SCALE)[1] == {
        "x-0": "line 1: the text is not in UTF-8, and nothing in the file says in what else"
    }
    for isotope in "DT":
        (tmp_path / isotope).write_text(written.replace("\nLi ", f"\n{isotope} "))
        (frame,) = opened("ase", tmp_path / isotope, "PBE", SCALE)[0].values()
        assert frame.Z.tolist() == [1, 8, 26]


# -------------------------------------------------------------------------------------------- other readers


def test_charges_and_settings_that_records_of_json_state(tmp_path: Path) -> None:
    records = {f"f-{k}": json_record("mptrj", f"f-{k}", crystal(k)) for k in range(6)}
    records["f-1"]["structure"]["charge"] = 1
    records["f-2"]["charge"] = -2.0
    records["f-0"]["encut"], records["f-3"]["encut"] = 520, 680
    records["f-4"]["parameters"] = {"incar": {}, "IVDW": 12}
    records["f-5"]["structure"]["charge"] = None
    (tmp_path / "m.json").write_text(json_text("mptrj", copy.deepcopy(records)))
    frames, rejected, settings = opened("mptrj", tmp_path / "m.json")
    assert list(frames) == ["f-0", "f-5"]
    assert rejected == {
        "f-1": "charge is 1: the cell is charged",
        "f-2": "charge is -2: the cell is charged",
        "f-3": "mixed label scales: encut is '680' here, '520' in an earlier run",
        "f-4": "ivdw is '12': the label has a dispersion correction",
    }
    assert settings.facts() == {"charge": {"0": 1}, "encut": {"520": 1}}
    assert list(opened("mptrj", tmp_path / "m.json", charge="any")[0]) == ["f-0", "f-1", "f-2", "f-5"]


@pytest.mark.parametrize("key", ["charge", "total_charge", "tot_charge"])
def test_charges_of_ase_files(key: str, tmp_path: Path) -> None:
    rows = [ase_row(crystal(k), f"row-{k}") for k in range(2)]
    rows[1]["key_value_pairs"][key] = 1
    write_sqlite(tmp_path / "x.db", rows)
    write_aselmdb(tmp_path / "x.aselmdb", rows)
    (tmp_path / "x.extxyz").write_text(xyz_text(rows[0]) + xyz_text(rows[1]).replace("pbc=", f"{key}=1 pbc="))
    for name in ("x.db", "x.aselmdb", "x.extxyz"):
        frames, rejected, _ = opened("ase", tmp_path / name, "PBE", SCALE)
        assert (list(frames), rejected) == (["row-0"], {"row-1": "charge is 1: the cell is charged"}), name


def test_the_charge_that_an_ase_database_computes(tmp_path: Path) -> None:
    import ase.db
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    with ase.db.connect(tmp_path / "x.db") as database:
        for charges in ([0.5, -0.5], [1.0, 0.0]):
            atoms = Atoms("LiH", [[0, 0, 0], [1, 1, 1]], cell=[3, 3, 3], pbc=True)
            atoms.set_initial_charges(charges)
            atoms.calc = SinglePointCalculator(atoms, energy=-6.0)
            database.write(atoms)
    frames, rejected, _ = opened("ase", tmp_path / "x.db", "PBE", SCALE)
    assert (list(frames), list(rejected.values())) == (["x-1"], ["charge is 1: the cell is charged"])


def test_settings_of_sets_with_a_scale_of_their_own_are_no_key() -> None:
    with pytest.raises(ValueError, match="settings: those of format 'solids' are known"):
        Source.model_validate({"format": "solids", "file": "x", "settings": {"ENCUT": 520}})
    with pytest.raises(ValueError, match="neither a value nor a list of values"):
        Source.model_validate({"format": "vasprun", "file": "x", "label_scale": "s", "settings": {"ENCUT": []}})
    assert json.loads(Source(format="vasprun", file="x", label_scale="s").model_dump_json())["settings"] == {}
