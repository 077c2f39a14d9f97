"""Settings of all unit tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# a busy machine takes longer than Hypothesis allows by default; speed is shown by benchmarks
settings.register_profile("uprung", deadline=None)
settings.load_profile("uprung")

#: Networks that no package ships: a folder beside the checkout, unless the variable names another one.
_BESIDE = Path(__file__).parents[3] / "shared/checkpoints"
if _BESIDE.is_dir():
    os.environ.setdefault("UPRUNG_CHECKPOINTS", str(_BESIDE))


@pytest.fixture
def available() -> Callable[[str], None]:
    """Skip the test where a checkpoint, or the package that reads it, is not on this machine."""

    def check(checkpoint: str) -> None:
        from uprung.models.registry import load

        try:
            load(checkpoint)
        except ModuleNotFoundError as error:
            pytest.skip(str(error))
        except ValueError as error:
            if "UPRUNG_CHECKPOINTS" not in str(error):
                raise
            pytest.skip(str(error))

    return check
