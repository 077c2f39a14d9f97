"""Jobs end with the Snakemake process that started them, so that no stale job still writes its files.

Snakemake stops its jobs when it is interrupted. When it is killed (kill -9, the kernel short of memory), they would go
on, and the jobs of the next Snakemake would write the same files at the same time.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARENT = "UPRUNG_SNAKEMAKE"  # environment variable: the process that a job belongs to
EVERY = 0.5  # seconds between two looks
LOG = logging.getLogger(__name__)


def name_of_process() -> str:
    """Return this process as text for its jobs: number, machine and name space of numbers; empty without /proc."""
    try:
        machine = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{os.getpid()} {machine} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def has_ended(process: str) -> bool:
    """Return whether a process of `name_of_process` has ended; False where that cannot be seen, as on another node."""
    pid, _, space = process.partition(" ")
    if not space or name_of_process().partition(" ")[2] != space:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"  # ended, but its own parent has not taken note


def _below(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have; pools of any kind."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it has ended meanwhile
            for child in map(int, task.read_text(encoding="utf-8").split()):
                found += [child, *_below(child)]
    return found


@contextmanager
def bound_to(process: str) -> Iterator[None]:
    """End this process and all that it has started as soon as another one has ended."""
    done = threading.Event()

    def look() -> None:
        if has_ended(process):
            LOG.error("Snakemake (process %s) was killed; this job ends, too, for the next one", process.split()[0])
            for pid in _below(os.getpid()):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os._exit(1)

    def watch() -> None:
        while not done.wait(EVERY):
            look()

    look()  # it may have ended while this job was starting
    watcher = threading.Thread(target=watch, name="parent", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
