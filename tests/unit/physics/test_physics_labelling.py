"""Labels of a folder are gone on with; the embedded ones are labels of the cells that the library makes."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dft.engines import Counting, NotConvergedError, engine

from uprung.job.files import DamagedError
from uprung.physics.cells import CRYSTALS, FixedCell, cells
from uprung.physics.labelling import SUMS, known, label, require_whole
from uprung.sources.gpaw import files, records

OWN = Path(__file__).parents[3] / "data/physics/own"
ALL = {cell.name: cell for cell in cells()}
FUNCTIONALS = ["PBE", "r2SCAN"]
FEW = [ALL[name] for name in ("vacancies/Al/vacancy", "vacancies/Al/crystal", "paths/Al/0", "paths/Al/0.5")]


def done(cells: list[FixedCell], calculator: Counting, folder: Path, state: str, seconds: float = 99) -> int:
    own = engine(calculator)
    return label(cells, FUNCTIONALS, own, folder / "labels", folder / state, seconds=seconds)


def test_labels_are_made_once_and_written_by_property(tmp_path: Path) -> None:
    calculator = Counting()
    assert done(FEW, calculator, tmp_path, "state") == 8
    assert len(calculator.made) == 6  # the vacancy is the first image of the path
    assert sorted(file.name for file in (tmp_path / "labels").iterdir()) == [
        "SHA256SUMS",
        "paths.jsonl.gz",
        "vacancies.jsonl.gz",
    ]
    names = [(record["id"], record["xc"]) for _, record in records(tmp_path / "labels/paths.jsonl.gz")]
    assert names == [(f"paths/Al/{place}", xc) for place in ("0", "0.5") for xc in FUNCTIONALS]
    assert [scheme.cutoff for scheme, _ in calculator.made] == [CRYSTALS["Al"].cutoff] * 6


def test_a_folder_is_gone_on_with(tmp_path: Path) -> None:
    done(FEW[:2], Counting(), tmp_path, "state")
    before = (tmp_path / "labels/vacancies.jsonl.gz").read_bytes()
    calculator = Counting()
    assert done(FEW, calculator, tmp_path, "another state") == 8
    assert len(calculator.made) == 2  # those of the path's middle alone
    assert (tmp_path / "labels/vacancies.jsonl.gz").read_bytes() == before


def test_labels_of_another_version_are_computed_again(tmp_path: Path) -> None:
    done(FEW[:2], Counting(), tmp_path, "state")
    assert len(dict(known(tmp_path / "labels", engine(Counting()), FEW))) == 4
    assert not dict(known(tmp_path / "labels", engine(Counting(), "1.1"), FEW))


def test_labels_are_found_again_where_a_processor_rounds_otherwise(tmp_path: Path) -> None:
    """Labels had gone out of the folder where an atom on a face was at the other one, or a last digit differed."""
    done(FEW[:2], Counting(), tmp_path, "state")
    before = (tmp_path / "labels/vacancies.jsonl.gz").read_bytes()
    moved = [replace(cell, atoms=cell.atoms.copy()) for cell in FEW[:2]]
    moved[0].atoms.positions[0] += moved[0].atoms.cell.array[1]
    moved[1].atoms.positions += 1e-15
    calculator = Counting()
    assert done(moved, calculator, tmp_path, "another state", seconds=0) == 4
    assert not calculator.made
    assert (tmp_path / "labels/vacancies.jsonl.gz").read_bytes() == before


def test_labels_of_cells_that_are_not_asked_for_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    done(FEW[:2], Counting(), tmp_path, "state")
    assert len(dict(known(tmp_path / "labels", engine(Counting()), FEW[1:2]))) == 2
    assert "vacancies/Al/vacancy, PBE, is left out: no cell" in caplog.text


@pytest.mark.parametrize("change", ["another content", None])
def test_a_folder_that_was_changed_is_not_gone_on_with(tmp_path: Path, change: str | None) -> None:
    done(FEW[:2], Counting(), tmp_path, "state")
    file = tmp_path / "labels/vacancies.jsonl.gz"
    if change is None:
        file.unlink()
    else:
        file.write_bytes(gzip.compress(change.encode()))
    with pytest.raises(DamagedError, match=r"vacancies\.jsonl\.gz is (gone|not that of SHA256SUMS)"):
        done(FEW, Counting(), tmp_path, "another state")


def test_embedded_labels_are_those_of_their_sums() -> None:
    require_whole(OWN)
    named = [line.split()[1] for line in (OWN / SUMS).read_text(encoding="utf-8").splitlines()]
    assert named == [file.name for file in files(OWN)]


def test_without_time_nothing_is_computed_but_all_is_written(tmp_path: Path) -> None:
    done(FEW[:1], Counting(), tmp_path, "state")
    for file in (tmp_path / "labels").iterdir():
        file.unlink()
    calculator = Counting()
    assert done(FEW[:2], calculator, tmp_path, "state", seconds=0) == 2
    assert not calculator.made
    assert (tmp_path / "labels/vacancies.jsonl.gz").exists()


def test_what_did_not_converge_is_a_record_with_the_reason(tmp_path: Path) -> None:
    calculator = Counting({1: NotConvergedError()})
    done(FEW[:1], calculator, tmp_path, "state")
    found = [record.get("unusable") for _, record in records(tmp_path / "labels/vacancies.jsonl.gz")]
    assert found == ["not converged", None]
    done(FEW[:1], calculator, tmp_path, "another state")
    assert len(calculator.made) == 2  # it is not tried again


@pytest.mark.parametrize("file", files(OWN), ids=lambda file: file.name)
def test_embedded_labels_are_of_the_cells_of_the_library(file: Path) -> None:
    for _, record in records(file):
        cell = ALL[record["id"]]
        assert record["id"].split("/")[0] == file.name.split(".")[0]
        assert record["numbers"] == cell.atoms.numbers.tolist()
        assert record["cell"] == pytest.approx(cell.atoms.cell.array, abs=1e-9)
        assert record["positions"] == pytest.approx(cell.atoms.positions, abs=1e-9)
        assert tuple(record["kpts"]) == cell.structure.kpts
        assert record["settings"].get("density_floor") == cell.scheme(record["xc"]).density_floor
        assert record["settings"]["cutoff"] == CRYSTALS[cell.crystal].cutoff
        assert record["settings"]["code"] == "GPAW 26.7.0"
        if "unusable" not in record:
            assert np.abs(np.sum(record["forces"], axis=0)).max() < 0.02


def test_the_card_says_how_many_labels_there_are() -> None:
    count = sum(1 for file in files(OWN) for _ in records(file))
    assert f"So far there are {count} of {2 * len(ALL)} labels." in (OWN / "README.md").read_text(encoding="utf-8")
