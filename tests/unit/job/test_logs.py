from __future__ import annotations

import errno
import logging
import warnings
from pathlib import Path

import pytest

from uprung.job.logs import SECRETS, logged, progress, redacted


def test_an_error_is_one_clear_line_and_its_traceback_stays_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "job.log"
    with pytest.raises(SystemExit) as stop, logged(log):
        raise ValueError("sizes: 9 frames asked for, but the training split has 3")
    assert stop.value.code == 1
    printed = capsys.readouterr().err
    assert "uprung: ValueError: sizes: 9 frames asked for" in printed
    assert str(log) in printed
    assert "Traceback" not in printed
    assert "Traceback" in log.read_text()


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_neither_printed_nor_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "recognisable-key")
    with pytest.raises(SystemExit), logged(tmp_path / "job.log"):  # noqa: PT012
        logging.getLogger("a.client").warning("GET /x?key=%s", "recognisable-key")
        warnings.warn("the header recognisable-key is odd", stacklevel=1)
        raise ValueError("401 for recognisable-key") from OSError("recognisable-key")
    told = (tmp_path / "job.log").read_text() + capsys.readouterr().err
    assert "recognisable" not in told
    assert told.count("***") >= 5
    monkeypatch.setenv(name, "a")
    assert redacted("a cat") == "a cat"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_one_clear_line_even_without_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), logged("/dev/full"):
        raise OSError(errno.ENOSPC, "No space left on device", "results/x/curves.csv")
    printed = capsys.readouterr().err
    assert printed.startswith("uprung: results/x/curves.csv cannot be written: the disk is full. Free some space, then")
    assert printed.count("\n") == 2


def test_a_log_that_cannot_be_opened_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), logged(tmp_path / "missing" / "job.log"):
        raise AssertionError("not reached")
    assert capsys.readouterr().err.startswith("uprung: FileNotFoundError: ")


def test_log_lines_and_warnings_have_a_time(tmp_path: Path) -> None:
    with logged(tmp_path / "job.log"):
        logging.getLogger("uprung").info("step %d", 3)
        warnings.warn("a doubtful thing", stacklevel=1)
    first, *rest = (tmp_path / "job.log").read_text().splitlines()
    assert first[:2] == "20"
    assert first.endswith("step 3")
    assert "a doubtful thing" in "".join(rest)


def test_no_bar_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(3, "training", "step") as bar:
        bar.update(3)
    assert capsys.readouterr().err == ""


def test_lines_in_the_log_tell_rate_and_estimate(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("uprung.job.logs.time.monotonic", lambda: now[0])
    with caplog.at_level("INFO"), progress(8_000, "reading PBE", "frame", every=10) as bar:
        for seconds, n in ((4.0, 100), (8.0, 1900), (9.0, 10), (11.0, 1990)):
            now[0] += seconds
            bar.update(n)
    assert [record.message for record in caplog.records] == [
        "reading PBE: 2,000 of 8,000 frames (25 %), 167 frames/s, 00:36 left",
        "reading PBE: 4,000 of 8,000 frames (50 %), 125 frames/s, 00:32 left",
    ]
    with progress(12_000_000, "reading x", "B", start=4_000_000) as bytes_bar:
        bytes_bar.update(4_000_000)
        assert bytes_bar.line(2.0) == "reading x: 8.00MB of 12.0MB (67 %), 2.00MB/s, 00:02 left"
        assert bytes_bar.line(0.0) == "reading x: 8.00MB of 12.0MB (67 %), 0.00B/s, ? left"


def test_every_process_of_a_run_has_a_log_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rank in ("0", "1"):
        monkeypatch.setenv("LOCAL_RANK", rank)
        with logged(tmp_path / "job.log"):
            logging.getLogger("uprung").info("rank %s", rank)
    assert "rank 0" in (tmp_path / "job.log").read_text()
    assert "rank 1" in (tmp_path / "job.log.rank1").read_text()
