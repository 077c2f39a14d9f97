"""Checksums of outputs, held against inputs: in the working folder of a job."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from uprung.job.checksums import record, verify
from uprung.job.files import DamagedError
from uprung.job.run import job

FILE = Path("results/study/split/split.parquet")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    FILE.parent.mkdir(parents=True)
    FILE.write_bytes(b"a table")


def test_a_result_as_it_was_written_is_taken() -> None:
    record([FILE])
    verify([str(FILE)])


def test_another_content_is_refused_and_the_message_says_what_to_do() -> None:
    record([FILE])
    FILE.write_bytes(b"A table")
    with pytest.raises(DamagedError) as refused:
        verify([FILE])
    assert str(refused.value) == (
        f"{FILE} has another content: it is not what it was when it was written. Delete {FILE} and start the same "
        "command again: it is made anew"
    )


def test_a_result_without_a_checksum_is_refused() -> None:
    with pytest.raises(DamagedError, match=r"no checksum.*checksums/split/split\.parquet\.json is missing.*your own"):
        verify([FILE])


def test_a_damaged_checksum_is_refused() -> None:
    record([FILE])
    entry = Path("results/study/checksums/split/split.parquet.json")
    assert json.loads(entry.read_text(encoding="utf-8"))["bytes"] == 7
    entry.write_text(entry.read_text(encoding="utf-8")[:-5], encoding="utf-8")
    with pytest.raises(DamagedError, match=r"split\.parquet\.json cannot be read"):
        verify([FILE])


def test_files_from_elsewhere_have_no_checksum(tmp_path: Path) -> None:
    for file in (Path("data.json"), tmp_path / "data.json", Path("results/points.csv")):
        file.write_text("data")
        record([file])
        verify([file])
    assert not list(Path().rglob("checksums"))


def test_a_folder_is_all_its_files() -> None:
    folder = Path("results/study/vasp")
    (folder / "a").mkdir(parents=True)
    (folder / "a/POSCAR").write_text("x")
    record([folder])
    verify([folder])
    (folder / "a/INCAR").write_text("x")
    with pytest.raises(DamagedError, match="vasp has another content"):
        verify([folder])


def snakemake(**files: list[str]) -> SimpleNamespace:
    return SimpleNamespace(**{"input": [], "output": [str(FILE)], "log": ["job.log"], "params": {}, **files})


def test_a_job_records_what_it_has_written() -> None:
    with job(snakemake()):
        FILE.write_bytes(b"another table")
    verify([FILE])


def test_a_job_that_fails_records_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), job(snakemake()):
        raise ValueError("no")
    assert not list(Path().rglob("checksums"))
    assert "uprung: ValueError: no" in capsys.readouterr().err


def test_a_job_does_not_begin_with_a_damaged_input(capsys: pytest.CaptureFixture[str]) -> None:
    record([FILE])
    FILE.write_bytes(b"damaged")
    with pytest.raises(SystemExit), job(snakemake(input=[str(FILE)], output=[])):
        pytest.fail("not reached")
    told = capsys.readouterr().err
    assert told.startswith(f"uprung: DamagedError: {FILE} has another content")
    assert told.count("\n") == 2


def test_of_several_processes_the_first_one_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with job(snakemake(input=[str(FILE)])):
        pass
    assert not list(Path().rglob("checksums"))
