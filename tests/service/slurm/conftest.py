"""A real SLURM for the tests of this folder; without Debian's packages they are skipped, with the reason."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import cluster
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow"))


@pytest.fixture
def slurm() -> Iterator[cluster.Cluster]:
    """Return a SLURM with a node of six CPUs and three GPUs."""
    running = cluster.start(cpus=6, gpus=3, memory_mb=20_000)
    yield running
    running.stop()
