"""No flipped bit is taken silently, in any kind of file that uprung writes and reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from bit_flips import KINDS, Kind, digest, flipped, prepare


@pytest.fixture(scope="module", autouse=True)
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with chdir(tmp_path_factory.mktemp("flips")):
        prepare()
        yield


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_flip_is_silent(kind: Kind) -> None:
    counts = flipped(kind, 12, np.random.default_rng(16))
    assert counts["silent"] == 0
    assert counts["refused"] >= 6


def test_the_count_tells_silent_from_refused(tmp_path: Path) -> None:
    """Without this the tests above would say nothing."""
    file = tmp_path / "a"
    file.write_bytes(bytes(100))
    with chdir(tmp_path):
        assert flipped(Kind("a", "a", file.read_bytes), 5, np.random.default_rng(0)) == {"silent": 5}
    assert digest({"a": np.zeros(2)}) != digest({"a": np.zeros(2, dtype=np.float32)})
