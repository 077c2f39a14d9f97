"""Jobs and Snakemake killed, locks, orphans, broken checkpoints: the next Snakemake ends with the same numbers."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pytest
from faults import children, contents, differing, interrupted, jobs_in, kill, script_of, wait_for
from workplace import STUDY_TIMEOUT, Workplace, checkout

RUN = "runs/steps30/scratch/n60/seed0"
WHOLE = f"results/micro/{RUN}/metrics.json"
LOG = f"logs/{RUN}/train.log"
KILLS = 24
PATIENCE = 300  # seconds; for a busy machine
SESSIONS: list[Session] = []


class Session:
    """One Snakemake, whose output goes to a file, so that nobody has to read it."""

    def __init__(self, place: Workplace, target: str, *options: str) -> None:
        self.place = place
        self.file: IO[str] = (place.folder / "output.txt").open("w+")
        self.process = place.start(target, "--cores", "2", *options, output=self.file)
        SESSIONS.append(self)

    @property
    def output(self) -> str:
        return Path(self.file.name).read_text(encoding="utf-8")

    def kill(self, *, with_jobs: bool) -> None:
        """Kill Snakemake, with all that it started or alone."""
        below = children(self.process.pid) if with_jobs else []
        for pid in (self.process.pid, *below):
            kill(pid)
        self.process.wait()

    def end(self) -> str:
        self.process.wait(STUDY_TIMEOUT)
        self.file.close()
        return self.output


@pytest.fixture(autouse=True)
def _nothing_goes_on() -> Iterator[None]:
    yield
    while SESSIONS:
        session = SESSIONS.pop()
        if session.process.poll() is None:
            session.kill(with_jobs=True)
        for pid in jobs_in(session.place):
            kill(pid)


def complete(place: Workplace, target: str, *, after_a_kill: bool = True) -> str:
    """Do what docs/reliability.md says: unlock where Snakemake was killed, and start again."""
    if after_a_kill:
        assert place.snakemake(target, "--unlock").returncode == 0
    done = place.snakemake(target, "--cores", "2", timeout=STUDY_TIMEOUT)
    assert done.returncode == 0, done.stdout
    return done.stdout


def remove(place: Workplace, run: str = RUN) -> dict[str, object]:
    """Remove the files of a finished run, its log too, and return what all runs held."""
    before = contents(place.results)
    shutil.rmtree(place.results / run)
    (place.results / LOG).unlink()
    return {name: content for name, content in before.items() if name.startswith("runs/")}


def of_runs(place: Workplace) -> dict[str, object]:
    return {name: content for name, content in contents(place.results).items() if name.startswith("runs/")}


def log_of(place: Workplace) -> str:
    file = place.results / LOG
    return file.read_text() if file.exists() else ""


def states(place: Workplace) -> list[Path]:
    return list((place.results / "state").rglob("last.ckpt"))


def nothing_half_written_counts(place: Workplace, wanted: dict[str, object]) -> None:
    """Hold every output that Snakemake takes for finished against the uninterrupted study."""
    open_ends, found = interrupted(place), contents(place.results)
    wrong = [name for name, content in found.items() if name in wanted and content != wanted[name]]
    declared = [name for name in wrong if not name.startswith("graphs/") or name.endswith("/manifest.json")]
    assert set(declared) <= open_ends, (declared, open_ends)


# ------------------------------------------------------------------------------------------------------ in seconds


def assert_refused(place: Workplace) -> None:
    done = place.snakemake(WHOLE, "--cores", "2")
    assert done.returncode != 0
    assert "Directory cannot be locked" in done.stdout
    assert "--unlock" in done.stdout


@pytest.mark.slow
def test_three_kinds_of_kill_leave_the_numbers_as_they_are(finished: Workplace) -> None:
    """The job alone, Snakemake with the job, Snakemake alone: each while a training runs, one after the other.

    A second Snakemake is refused while the first one runs, and after it was killed until the folder is unlocked.
    """
    wanted = remove(finished)
    session = Session(finished, WHOLE)
    wait_for(lambda: states(finished), PATIENCE, "no checkpoint")
    (job,) = jobs_in(finished, "train")
    kill(job, signal.SIGSTOP)  # or it would be done before the second Snakemake has started
    assert_refused(finished)
    kill(job)
    output = session.end()
    assert session.process.returncode != 0
    assert "Error in rule train_run" in output
    assert not (finished.results / RUN / "model.pth.tar").exists()

    session = Session(finished, WHOLE)  # no lock is left
    wait_for(lambda: "resumed at step" in log_of(finished), PATIENCE, "not resumed")
    session.kill(with_jobs=True)
    nothing_half_written_counts(finished, wanted)
    assert_refused(finished)
    assert finished.snakemake(WHOLE, "--unlock").returncode == 0
    session = Session(finished, WHOLE)
    wait_for(lambda: jobs_in(finished, "train"), PATIENCE, "no training")
    session.kill(with_jobs=False)
    complete(finished, WHOLE)
    assert differing(of_runs(finished), wanted) == []
    assert not states(finished)


def test_a_job_ends_with_the_snakemake_that_started_it(finished: Workplace) -> None:
    run = RUN.replace("steps30", "steps90000")  # longer than anyone waits
    session = Session(finished, f"results/micro/{run}/metrics.json", "--config", "steps=90000")
    log = finished.results / "logs" / run / "train.log"
    wait_for(lambda: log.exists() and "step 0" in log.read_text(), PATIENCE, "no training")
    (job,) = jobs_in(finished, "train")
    session.kill(with_jobs=False)
    wait_for(lambda: job not in jobs_in(finished), 10, "the job outlives Snakemake")
    assert "was killed; this job ends, too" in log.read_text()


@pytest.mark.slow
def test_a_job_that_hangs_keeps_its_run_until_it_ends(finished: Workplace) -> None:
    """One that cannot notice the end of its Snakemake, as it is stopped: the next waits and goes on from its state."""
    wanted = remove(finished)
    session = Session(finished, WHOLE)
    wait_for(lambda: states(finished), PATIENCE, "no checkpoint")
    (job,) = jobs_in(finished, "train")
    kill(job, signal.SIGSTOP)
    session.kill(with_jobs=False)
    assert finished.snakemake(WHOLE, "--unlock").returncode == 0
    session = Session(finished, WHOLE)
    wait_for(lambda: "this job waits for it to end" in session.output, PATIENCE, "no message")
    assert f"belongs to process {job} on" in session.output
    kill(job)
    output = session.end()
    assert session.process.returncode == 0, output
    assert "resumed at step" in log_of(finished)
    assert differing(of_runs(finished), wanted) == []


@pytest.mark.long
def test_a_truncated_checkpoint_falls_back_to_the_one_before(finished: Workplace) -> None:
    wanted = remove(finished)
    session = Session(finished, WHOLE)
    previous = finished.results / "state" / RUN / "last.previous"
    wait_for(previous.exists, PATIENCE, "no second checkpoint")
    session.kill(with_jobs=True)
    newest = previous.with_name("last.ckpt")
    content = newest.read_bytes()
    newest.write_bytes(content[: len(content) // 2])
    complete(finished, WHOLE)
    log = log_of(finished)
    assert "last.ckpt is not a checkpoint of plain tensors and values" in log
    assert "trying the resume state before it" in log
    assert re.search(r"resumed at step (10|20)\b", log)
    assert differing(of_runs(finished), wanted) == []


@pytest.mark.long
def test_a_killed_correction_keeps_the_draws_that_it_has_trained(fresh: Workplace) -> None:
    training = {"draws": 3, "epochs": 2}
    lithium = {"functional": "PBE", "sources": [{"format": "mlearn", "file": "data/mlearn/Li_test.json.gz"}]}
    correction = {"methods": ["number", "per-element", "training"], "shots": [1], "draws": 10, "training": training}
    wanted = {"models": ["chgnet-0.3.0"], "runs": "none", "correction": correction}
    fresh.configure(lambda study: study.update(tests={"softening": {"sets": {"li": lithium}, **wanted}}))
    state = fresh.results / "state/softening/li/training/chgnet-0.3.0"
    session = Session(fresh, "softening")
    begun = lambda: list(state.glob("*.json")) or session.process.poll() is not None  # noqa: E731
    wait_for(begun, PATIENCE, "no draw is finished")
    assert session.process.poll() is None, session.output
    session.kill(with_jobs=True)
    kept = len(list(state.glob("*.json")))
    complete(fresh, "softening")
    log = (fresh.results / "logs/softening/li/training/chgnet-0.3.0.log").read_text()
    assert log.count("was finished before") == kept
    assert not state.exists()
    table = pd.read_csv(fresh.results / "softening/li/correction.csv")
    assert list(zip(table["method"], table["draws"], strict=True)) == [
        ("number", 10),
        ("per-element", 10),
        ("training", 3),
    ]
    assert np.isfinite(table[["mae_after", "slope_after", "mae_to_number"]]).all(axis=None)
    assert fresh.planned("softening") == {}


# ------------------------------------------------------------------------------------------------------ in minutes


def slim(folder: Path) -> Workplace:
    """Return the micro study with four runs and a state at every step, in a folder where nothing has run."""
    place = checkout(folder)

    def change(study: dict) -> None:
        study["arms"].pop("checkpoint-ref")
        study["sizes"] = [60, 120]
        study["scaling"]["baseline"] = "prior-ridge"
        study["training"]["checkpoint_minutes"] = 1e-6

    place.configure(change)
    return place


@dataclass
class Tally:
    """What happened to a study that was killed again and again."""

    kills: Counter[str] = field(default_factory=Counter)  # by what was killed
    hit: Counter[str] = field(default_factory=Counter)  # jobs that ran, by script
    between: int = 0  # kills while no job ran
    completed: int = 0
    identical: int = 0


def shoot(place: Workplace, wanted: dict[str, object], kills: int, rng: random.Random) -> Tally:
    """Kill a study at random moments and start it again, until it has been killed so often and is complete."""
    tally = Tally()
    while tally.kills.total() < kills:
        how = ("all", "snakemake", "job")[tally.kills.total() % 3]
        session = Session(place, "train")
        wait_for(lambda s=session: jobs_in(place) or s.process.poll() is not None, PATIENCE, "no job")
        in_the_loop = rng.random() < 0.5  # most of such a small job is importing
        if in_the_loop:
            begun = time.time()
            wait_for(
                lambda s=session, t=begun: written(place) > t or s.process.poll() is not None,
                STUDY_TIMEOUT,
                "no checkpoint",
            )
        with contextlib.suppress(subprocess.TimeoutExpired):
            session.process.wait(rng.uniform(0, 2 if in_the_loop else 14))
        if how == "job":
            wait_for(lambda s=session: jobs_in(place) or s.process.poll() is not None, PATIENCE, "no job")
        if session.process.poll() is not None:
            assert session.process.returncode == 0, session.output
            tally.completed += 1
            tally.identical += differing(contents(place.results), wanted) == []
            shutil.rmtree(place.results)
            continue
        running = jobs_in(place)
        if how == "job":
            running = [rng.choice(running)] if running else []
            tally.hit.update(map(script_of, running))
            for pid in running:
                kill(pid)
            time.sleep(rng.uniform(0, 3))
            kill(session.process.pid, signal.SIGTERM)  # it waits for its other jobs
            session.process.wait(STUDY_TIMEOUT)
        else:
            tally.hit.update(map(script_of, running))
            session.kill(with_jobs=how == "all")
        tally.kills[how] += 1
        tally.between += not running
        print(tally, flush=True)
        nothing_half_written_counts(place, wanted)
        assert place.snakemake("train", "--unlock").returncode == 0
    complete(place, "train")
    tally.completed += 1
    tally.identical += differing(contents(place.results), wanted) == []
    return tally


def written(place: Workplace) -> float:
    """Return when a checkpoint was written last."""
    times = [0.0]
    for state in states(place):
        with contextlib.suppress(FileNotFoundError):
            times.append(state.stat().st_mtime)
    return max(times)


@pytest.mark.slow
def test_a_study_that_is_killed_again_and_again_ends_with_the_same_numbers(tmp_path: Path) -> None:
    """Over half an hour on two busy cores: kills at random moments, each followed by unlocking and a new start."""
    reference, place = slim(tmp_path / "reference"), slim(tmp_path / "killed")
    complete(reference, "train", after_a_kill=False)
    tally = shoot(place, contents(reference.results), KILLS, random.Random(20))
    print(f"\n{tally}")
    assert tally.kills.total() == KILLS
    assert tally.identical == tally.completed >= 1
