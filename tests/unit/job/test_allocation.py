"""Freed memory stays with the process, whatever process it is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from uprung.job.allocation import DECIDED, keep_freed_memory
from uprung.models import interface
from uprung.models.registry import architecture

PAGES = """
import json, resource, sys, threading
import torch
from uprung.job.allocation import keep_freed_memory
told = keep_freed_memory() if "told" in sys.argv else False
def used():
    for _ in range(20):
        torch.zeros(1 << 23).add_(1)  # 32 MiB, given back in every round
def held():
    for _ in range(4):
        kept = [torch.zeros(1 << 19).add_(1) for _ in range(100)]  # 2 MiB each, as a step holds them
        del kept
def many():
    if "threads" not in sys.argv:
        return used()
    threads = [threading.Thread(target=held) for _ in range(2)]  # as those of a run, new ones for every step
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
many()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
many()
print(json.dumps([told, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before]))
"""
GLIBC = (
    sys.platform.startswith("linux") and "glibc" in os.confstr("CS_GNU_LIBC_VERSION") if os.name == "posix" else False
)


def pages(*arguments: str, **variables: str) -> Any:
    """Return whether glibc was told, and the pages that came anew from the system."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", PAGES, *arguments]
    done = subprocess.run(command, env={**inherited, **variables}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.skipif(not GLIBC, reason="glibc's setting")
def test_blocks_of_one_round_serve_the_next() -> None:
    told, faults = pages("told")
    assert told
    untold, many = pages()
    assert not untold
    assert faults < 1000 < many  # a round of 20 blocks has 163,840 pages of 4 KiB


@pytest.mark.skipif(not GLIBC, reason="glibc's setting")
def test_blocks_of_one_thread_serve_the_next() -> None:
    _, faults = pages("told", "threads")
    _, many = pages("threads")
    assert faults < many / 4


@pytest.mark.skipif(not GLIBC, reason="glibc's setting")
def test_the_variables_of_the_workflow_do_the_same() -> None:
    text = (Path(__file__).parents[3] / "rules" / "common.smk").read_text(encoding="utf-8")
    variables = dict(re.findall(r'"(MALLOC_\w+)": "(\d+)"', text))
    assert set(variables) < set(DECIDED)
    told, faults = pages("told", "threads", **variables)
    assert not told
    assert faults < 30_000  # 400 blocks of 512 pages come twice


def test_a_decision_of_the_user_stays() -> None:
    assert pages("told", MALLOC_TRIM_THRESHOLD_="100000")[0] is False
    assert pages("told", GLIBC_TUNABLES="glibc.malloc.arena_max=4")[0] is False


def test_every_network_sees_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(interface, "keep_freed_memory", lambda: asked.append(1))
    architecture("chgnet").new(0)
    assert asked


def test_it_is_done_once() -> None:
    assert keep_freed_memory() is keep_freed_memory()
    assert keep_freed_memory.cache_info().currsize == 1
