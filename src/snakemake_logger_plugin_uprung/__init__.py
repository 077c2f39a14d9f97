"""Snakemake's logger plugin `uprung`: one line on a terminal that says what runs, and a line for each job that failed.

`uprung run` asks for it (`--logger uprung`) where standard error is a terminal.
"""

from __future__ import annotations

import shutil
import sys
import time
from logging import LogRecord
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

#: Rules whose jobs are training runs.
RUNS = ("train_run", "pretrain")
CLEAR = "\r\x1b[K"


class LogHandler(LogHandlerBase):
    """Keeps count of the jobs and rewrites a line."""

    def __post_init__(self) -> None:
        """Begin with nothing done."""
        self.stream = sys.stderr
        self.begin = time.monotonic()
        self.total: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self.jobs: dict[int, tuple[str, str]] = {}  # job -> its rule, and what it does
        self.running: list[int] = []
        self.failed: list[str] = []
        self.told: set[str] = set()

    def emit(self, record: LogRecord) -> None:
        """Take note of a record of Snakemake."""
        event, facts = getattr(record, "event", None), vars(record)
        if event == LogEvent.RUN_INFO:
            self.total = self.total or {k: n for k, n in dict(facts["stats"]).items() if k != "total"}
        elif event == LogEvent.JOB_INFO:
            self.jobs[facts["jobid"]] = (facts["rule_name"], facts["rule_msg"] or _described(facts))
            self.running.append(facts["jobid"])
        elif event == LogEvent.JOB_FINISHED:
            self._end(facts["job_id"])
            rule, _ = self.jobs.get(facts["job_id"], ("", ""))
            self.done[rule] = self.done.get(rule, 0) + 1
        elif event == LogEvent.JOB_ERROR:
            self._fail(facts)
        elif record.levelname in ("WARNING", "ERROR", "CRITICAL") and event not in (LogEvent.GROUP_ERROR,):
            self._tell(str(facts.get("message") or record.getMessage()))
        self._show()

    def _end(self, job: int) -> None:
        if job in self.running:
            self.running.remove(job)

    def _fail(self, facts: dict[str, Any]) -> None:
        self._end(facts["jobid"])
        _, what = self.jobs.get(facts["jobid"], ("", facts["rule_name"]))
        logs = ", ".join(map(str, facts.get("log") or []))
        self.failed.append(what)
        self._tell(f"failed: {what}{f' ({logs})' if logs else ''}")

    def _tell(self, text: str) -> None:
        """Print a line above the one that is rewritten; each text once."""
        text = text.strip()
        if text and text != "None" and text not in self.told:
            self.told.add(text)
            self.stream.write(f"{CLEAR}{text}\n")

    def _show(self) -> None:
        self.stream.write(CLEAR + self.line()[: shutil.get_terminal_size().columns - 1])
        self.stream.flush()

    def line(self) -> str:
        """Return how far the study is: jobs, runs, failures, time, and what runs now."""
        jobs, done = sum(self.total.values()), sum(self.done.values())
        if not jobs:
            return "planning"
        parts = [f"{done} of {jobs} jobs"]
        runs = sum(self.total.get(rule, 0) for rule in RUNS)
        if runs:
            parts.append(f"{sum(self.done.get(rule, 0) for rule in RUNS)} of {runs} runs trained")
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        minutes, seconds = divmod(int(time.monotonic() - self.begin), 60)
        parts.append(f"{minutes}:{seconds:02d}")
        now = "; ".join(dict.fromkeys(self.jobs[job][1] for job in self.running))
        return ", ".join(parts) + (f" | {now}" if now else "")

    def close(self) -> None:
        """Leave the last line on the terminal."""
        if getattr(self, "total", None):
            self.running.clear()
            self.stream.write(f"{CLEAR}{self.line()}\n")
            self.stream.flush()
            self.total = {}
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        """Whether it writes to a terminal."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Whether it writes to a file."""
        return False

    @property
    def has_filter(self) -> bool:
        """Whether it chooses records itself."""
        return True

    @property
    def has_formatter(self) -> bool:
        """Whether it words records itself."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """Whether it asks for the graph of the rules."""
        return False


def _described(facts: dict[str, Any]) -> str:
    wildcards = " ".join(map(str, dict(facts.get("wildcards") or {}).values()))
    return f"{facts['rule_name']} {wildcards}".strip()
