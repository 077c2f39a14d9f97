"""Labels that uprung computed: what becomes a frame, what is listed, and on which scale."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from uprung.dft.labels import Scheme, settings
from uprung.frames.intake import write_frames
from uprung.frames.schema import Frame, FramesError, Rejected
from uprung.sources import open_source
from uprung.sources.gpaw import read
from uprung.sources.work_consistency import WorkTest, checked

SETTINGS = {
    "code": "GPAW 26.7.0",
    "setups": "gpaw-data 1.2.1, PBE",
    "libxc": "5.2.3",
    "cutoff": 450.0,
    "k_density": 1.5,
    "smearing": 0.1,
    "convergence": 1e-5,
    "max_steps": 80,
}
LABEL: dict[str, Any] = {
    "id": "LiH-0",
    "material": "LiH",
    "xc": "PBE",
    "energy": -6.1,
    "free_energy": -6.2,
    "forces": [[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]],
    "stress": [[0.01, 0.0, 0.0], [0.0, 0.02, 0.0], [0.0, 0.0, 0.03]],
    "cell": [[4.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 6.0]],
    "positions": [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]],
    "numbers": [3, 1],
    "kpts": [3, 2, 2],
    "settings": SETTINGS,
    "seconds": 1.0,
}


def label(**changes: Any) -> dict[str, Any]:
    record = copy.deepcopy(LABEL) | changes
    return {key: value for key, value in record.items() if value is not None}


def one(folder: Path, record: dict[str, Any], **options: float) -> Frame | Rejected:
    path = folder / "labels.jsonl"
    path.write_text(json.dumps(record) + "\n")
    (found,) = read(path, "PBE", **options)
    return found


def test_a_label_becomes_a_frame_in_the_units_of_the_table(tmp_path: Path) -> None:
    frame = one(tmp_path, label())
    assert isinstance(frame, Frame)
    assert (frame.frame_id, frame.material_id, frame.source, frame.functional) == ("LiH-0", "LiH", "gpaw", "PBE")
    assert (frame.energy, frame.energy_free) == (-6.1, -6.2)
    np.testing.assert_allclose(frame.frac[1], [0.25, 0.4, 0.5])
    np.testing.assert_allclose(np.diag(frame.stress_gpa), [1.602177, 3.204353, 4.806530], rtol=1e-6)
    np.testing.assert_array_equal(frame.forces, LABEL["forces"])
    assert frame.magmom is None
    assert frame.trajectory is None
    other = one(tmp_path, label(trajectory="hot-1"))
    assert isinstance(other, Frame)
    assert other.trajectory == "hot-1"


def test_the_label_scale_names_all_that_energies_hang_on(tmp_path: Path) -> None:
    frame = one(tmp_path, label())
    assert isinstance(frame, Frame)
    assert frame.label_scale == (
        "GPAW 26.7.0 PAW (gpaw-data 1.2.1, PBE), PBE, 450 eV, k density 1.5 Å with one grid per material, "
        "Fermi-Dirac 0.1 eV, spin-paired, no U, uncorrected"
    )


@pytest.mark.parametrize("key", ["code", "setups", "cutoff", "k_density", "smearing"])
def test_two_settings_are_two_scales(tmp_path: Path, key: str) -> None:
    other = SETTINGS[key] * 2
    with pytest.raises(FramesError, match="energies of two scales never share one fidelity"):
        write_frames(
            [(iter_records(tmp_path, label(), label(id="b", settings=SETTINGS | {key: other})), frozenset())],
            tmp_path / "out",
            functional="PBE",
        )


def iter_records(folder: Path, *records: dict[str, Any]) -> list[Frame | Rejected]:
    path = folder / "labels.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return list(read(path, "PBE"))


def test_the_settings_of_a_scheme_are_those_that_the_scale_needs() -> None:
    class Named:
        versions = {key: str(SETTINGS[key]) for key in ("code", "setups", "libxc")}  # noqa: RUF012

    assert settings(Scheme("PBE"), Named()) == SETTINGS


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"unusable": "SCF not converged in 80 steps", "energy": None}, "no label: SCF not converged in 80 steps"),
        (
            {"forces": [[0.0, 0.0, 0.0308], [0.0, 0.0, 0.0]]},
            "net force 0.0308 eV/Å in a component, above 0.02 eV/Å",
        ),
        ({"forces": [[0.0, 0.0, float("nan")], [0.0, 0.0, 0.0]]}, "net force nan"),
        ({"settings": None}, "no key 'settings'"),
        ({"settings": {"code": "GPAW 26.7.0"}}, "settings do not say the label scale"),
        ({"energy": None}, "no key 'energy'"),
        ({"energy": "-6.1"}, "energy is no number"),
        ({"forces": [[0.1, 0.2], [0.3]]}, "forces is no list of equally long lists"),
        ({"cell": [[0.0] * 3] * 3}, "cell without volume"),
        ({"stress": [1.0, 2.0]}, "stress has 2 numbers"),
    ],
)
def test_what_is_no_label_is_listed_with_its_reason(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    found = one(tmp_path, label(**changes))
    assert isinstance(found, Rejected)
    assert found.frame_id == "LiH-0"
    assert found.reason.startswith(reason)


def test_the_limit_of_the_net_force_is_a_choice(tmp_path: Path) -> None:
    record = label(forces=[[0.0, 0.0, 0.0308], [0.0, 0.0, 0.0]])
    assert isinstance(one(tmp_path, record, net_force=0.05), Frame)
    assert isinstance(one(tmp_path, record, net_force=0.03), Rejected)


def test_rejected_labels_stand_in_the_manifest(tmp_path: Path) -> None:
    records = iter_records(tmp_path, label(), label(id="b", unusable="SCF not converged in 80 steps"))
    manifest = write_frames([(records, frozenset())], tmp_path / "out", functional="PBE")
    assert (manifest["read"], manifest["written"]) == (2, 1)
    assert manifest["rejected"] == [{"frame_id": "b", "reason": "no label: SCF not converged in 80 steps"}]


def test_another_functional_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps(label()) + "\n" + json.dumps(label(xc="r2SCAN")) + "\n")
    assert [frame.functional for frame in read(path, "PBE")] == ["PBE"]
    assert [frame.functional for frame in read(path, "r2SCAN")] == ["r2SCAN"]


def test_folders_compressed_files_and_lists_of_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(label()) + "\n")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(json.dumps(label(id="b")).encode()))
    (tmp_path / "notes.txt").write_text("not read")
    opened = open_source("gpaw", tmp_path, "PBE")
    assert [frame.frame_id for frame in opened.records()] == ["LiH-0", "b"]
    files = [tmp_path / "b.jsonl.gz", tmp_path / "a.jsonl"]
    assert [frame.frame_id for file in files for frame in read(file, "PBE")] == ["b", "LiH-0"]


@pytest.mark.parametrize("text", ["not JSON\n", "[1]\n", '{"id": "cut o'])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(label()) + "\n" + text)
    with pytest.raises(FramesError, match=r"x\.jsonl: line 2: expected a JSON object with a label"):
        list(read(tmp_path / "x.jsonl", "PBE"))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FramesError, match="no file of labels"):
        list(read(tmp_path, "PBE"))


def test_what_the_work_test_finds_is_stated_and_not_refused(tmp_path: Path) -> None:
    """Energies in plane waves that follow the cell do not follow the stress, and no unit is wrong."""
    records = []
    for n, edge in enumerate(np.linspace(3.9, 4.1, 15)):
        cell = edge * np.eye(3)
        stress = 2 * 50.0 * (edge - 4.0) / (3 * edge**2) * np.eye(3)  # of 50 eV/Å² · (edge − 4 Å)²
        free_energy = 0.45 * 50.0 * (edge - 4.0) ** 2
        changes = {
            "cell": cell.tolist(),
            "stress": stress.tolist(),
            "free_energy": free_energy,
            "positions": [[0.0] * 3],
        }
        records.append(label(id=str(n), numbers=[3], forces=[[0.0] * 3], **changes))
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    source = open_source("gpaw", tmp_path / "labels.jsonl", "PBE")
    assert len(list(source.records())) == 15
    facts = source.facts()["work_test"]
    assert "contradicted" in (facts["forces"]["verdict"], facts["stress"]["verdict"])
    assert facts["stress"]["slope"] == pytest.approx(0.45, abs=0.01)
    with pytest.raises(FramesError, match=r"0\.45 .* times the work of the stress"):
        list(checked(read(tmp_path / "labels.jsonl", "PBE"), WorkTest(), tmp_path))
