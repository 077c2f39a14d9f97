"""A job ends with the Snakemake that started it, so that the next Snakemake finds nobody at its files.

Snakemake stops its jobs when it is interrupted. When it is killed (kill -9, the kernel short of memory), they would go
on, and the jobs of the next Snakemake would write the same files at the same time.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARENT = "UPRUNG_SNAKEMAKE"  # environment variable: the process that a job belongs to
EVERY = 0.5  # seconds between two looks
LOG = logging.getLogger(__name__)


def name_of_process() -> str:
    """Return this process as text for its jobs: number and name space of numbers; empty where there is no /proc."""
    try:
        return f"{os.getpid()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def has_ended(process: str) -> bool:
    """Return whether a process of `name_of_process` has ended; False where that cannot be seen, as from a container."""
    pid, _, space = process.partition(" ")
    if not space or name_of_process().partition(" ")[2] != space:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in "ZX"  # ended, but its own parent has not taken note


@contextmanager
def bound_to(process: str) -> Iterator[None]:
    """End this process and the pools that it has started as soon as another one has ended."""
    done = threading.Event()

    def watch() -> None:
        while not has_ended(process):
            if done.wait(EVERY):
                return
        LOG.error(
            "Snakemake (process %s) was killed; this job ends, too, to be run by the next one", process.split()[0]
        )
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(1)

    watcher = threading.Thread(target=watch, name="parent", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
