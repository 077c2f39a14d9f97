"""Snakemake's own work while jobs run."""

from __future__ import annotations

import subprocess
import sys

import pytest
from test_points_study import my_points
from workplace import DRY_TIMEOUT, Workplace

# counts the timers after which Snakemake looks for jobs again though none has ended
COUNTED = """
import sys
from snakemake import cli
from snakemake.scheduling.job_scheduler import JobScheduler
timers = []
JobScheduler._schedule_reevalutation = lambda self, delay: timers.append(delay)
try:
    cli.main(sys.argv[1:])
finally:
    print("timers:", len(timers))
"""


@pytest.mark.parametrize(("options", "none"), [((), True), (("--max-jobs-per-timespan", "50/1m"), False)])
def test_snakemake_looks_for_jobs_only_when_one_ends_unless_the_user_limits_them(
    fresh: Workplace, options: tuple[str, ...], none: bool
) -> None:
    my_points().to_csv(fresh.folder / "my.csv", index=False)
    study = ("--configfile", "config/points.yaml", "--config", "points=my.csv", "study=mine")
    command = [sys.executable, "-c", COUNTED, "results/mine/scaling/curves.csv", "--cores", "1", *options, *study]
    done = subprocess.run(command, cwd=fresh.folder, capture_output=True, text=True, timeout=DRY_TIMEOUT, check=False)
    words = done.stdout + done.stderr
    assert (fresh.folder / "results/mine/scaling/curves.csv").is_file(), words
    assert ("timers: 0" in done.stdout) is none, words
