"""The line that says what runs, from the records that Snakemake's logger sends."""

from __future__ import annotations

import io
import logging
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_uprung import LogHandler


def record(event: LogEvent | None, level: int = logging.INFO, message: str = "", **facts: Any) -> logging.LogRecord:
    made = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    vars(made).update(facts, event=event)
    return made


def handler() -> LogHandler:
    found = LogHandler(common_settings=None, settings=None)
    found.stream = io.StringIO()
    found.emit(record(LogEvent.RUN_INFO, stats={"train_run": 3, "split": 1, "total": 4}))
    for number, (rule, what) in enumerate([("split", "Splitting"), ("train_run", "Training a"), ("train_run", None)]):
        found.emit(record(LogEvent.JOB_INFO, jobid=number, rule_name=rule, rule_msg=what, wildcards={"arm": "b"}))
    return found


def test_it_counts_jobs_and_runs_and_names_what_runs() -> None:
    found = handler()
    assert found.line().startswith("0 of 4 jobs, 0 of 3 runs trained, 0:0")
    assert found.line().endswith(" | Splitting; Training a; train_run b")
    found.emit(record(LogEvent.JOB_FINISHED, job_id=0))
    found.emit(record(LogEvent.JOB_FINISHED, job_id=2))
    assert found.line().startswith("2 of 4 jobs, 1 of 3 runs trained")
    assert found.line().endswith(" | Training a")


def test_a_failed_job_is_a_line_with_its_log_and_told_once() -> None:
    found = handler()
    for _ in range(2):
        found.emit(record(LogEvent.JOB_ERROR, logging.ERROR, jobid=1, rule_name="train_run", log=["logs/a.log"]))
        found.emit(record(None, logging.WARNING, "a warning"))
    text = found.stream.getvalue()
    assert text.count("failed: Training a (logs/a.log)\n") == 1
    assert text.count("a warning\n") == 1
    assert "Training a" not in found.line()


def test_the_last_line_stays() -> None:
    found = handler()
    for job in range(3):
        found.emit(record(LogEvent.JOB_FINISHED, job_id=job))
    found.close()
    assert found.stream.getvalue().splitlines()[-1].split("K")[-1].startswith("3 of 4 jobs, 2 of 3 runs trained")
    assert "|" not in found.stream.getvalue().splitlines()[-1].split("\r")[-1]
