"""Snakemake in a copy of the repository's files: what tests start, what a dry run plans, what is edited."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import yaml

REPOSITORY = Path(__file__).parents[2]
MICRO = "tests/workflow/micro.yaml"
STUDY_TIMEOUT = 900  # seconds; a minute of work on two free cores
DRY_TIMEOUT = 120
NOTHING = "Nothing to be done"
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["snakemake.cli", "pydantic"])
TARGETS = (
    *("data", "dft", "analysis", "atomref", "graphs", "train", "pretraining", "scaling", "forgetting"),
    *("softening", "physics", "snapshots", "report", "all"),
)


def job_counts(text: str) -> dict[str, int]:
    """Return rule -> number of jobs from the first table of job statistics that Snakemake prints, without the total.

    Target rules, which only collect files, are left out: they come and go with every job below them.
    """
    table = re.search(r"^job +count\n[- ]+\n((?:\S+ +\d+\n)+)", text, re.MULTILINE)
    if table is None:
        return {}
    counts = {rule: int(count) for rule, count in (line.split() for line in table[1].splitlines())}
    return {rule: count for rule, count in counts.items() if rule not in {"total", *TARGETS}}


def run_here(folder: Path, arguments: list[str], log: Path) -> None:
    """Be Snakemake in a folder, as `python -m snakemake` is."""
    from snakemake.cli import main

    os.chdir(folder)
    for name in ("PYTHONPATH", "SNAKEMAKE_PROFILE"):
        os.environ.pop(name, None)
    with log.open("w", encoding="utf-8") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        main(arguments)


@dataclass(frozen=True)
class Workplace:
    """A folder with the repository's files in which Snakemake runs."""

    folder: Path

    @property
    def results(self) -> Path:
        """Results of the micro study."""
        return self.folder / "results/micro"

    def snakemake(
        self,
        *arguments: str,
        study: str = MICRO,
        timeout: float = DRY_TIMEOUT,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run Snakemake here; standard output and standard error come back together, in `stdout`."""
        process = self.start(*arguments, study=study, environment=environment)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            stop(process)
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def start(
        self,
        *arguments: str,
        study: str = MICRO,
        output: int | IO[str] = subprocess.PIPE,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start Snakemake here, as the leader of a process group of its own."""
        inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "SNAKEMAKE_PROFILE")}
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *arguments, "--configfile", study],
            cwd=self.folder,
            env={**inherited, "OMP_NUM_THREADS": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def planned(self, *targets: str, study: str = MICRO, options: tuple[str, ...] = ()) -> dict[str, int]:
        """Return which rules a dry run would run how often; {} when nothing is to be done."""
        status, output = self.dry(*(targets or ("all",)), *options, "--configfile", study)
        assert status == 0, output
        counts = job_counts(output)
        # a target without files of its own (no `tests.softening.sets` in the study, for example) is listed alone
        alone = "\ntotal " in output and not counts
        assert bool(counts) != (NOTHING in output or alone), output
        return counts

    def dry(self, *arguments: str) -> tuple[int | None, str]:
        """Return status and output of a dry run here, by a fork of a process that has imported Snakemake before."""
        with TemporaryDirectory() as elsewhere:  # another test may be copying this folder
            log = Path(elsewhere) / "dry-run.log"
            process = FORKS.Process(target=run_here, args=(self.folder, [*arguments, "-n"], log))
            process.start()
            process.join(DRY_TIMEOUT)
            process.kill()
            return process.exitcode, log.read_text()

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text that occurs in a file of the repository exactly once."""
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new))

    def configure(self, change: Callable[[dict[str, Any]], Any]) -> None:
        """Change the micro study with a function that takes its content."""
        path = self.folder / MICRO
        content = yaml.safe_load(path.read_text())
        change(content)
        path.write_text(yaml.safe_dump(content, sort_keys=False))


def stop(process: subprocess.Popen[str]) -> None:
    """Kill a process started by `Workplace.start` and the jobs of its process group, and wait for it."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def repository_files() -> list[str]:
    """Return the files that git tracks or would track."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={REPOSITORY}", "ls-files", "-coz", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.split("\0") if name and (REPOSITORY / name).is_file()]


def checkout(folder: Path) -> Workplace:
    """Copy the repository's files into a new folder."""
    for name in repository_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, folder / name)
    return Workplace(folder)
