"""Energies over volume that have no equation of state are a reason, no error and no value."""

from __future__ import annotations

import numpy as np
import pytest

from uprung.physics.equation_of_state import minimum
from uprung.physics.results import NotComputedError

VOLUMES = 16 * np.linspace(0.94, 1.06, 13) ** 3


def test_a_parabola_has_its_minimum() -> None:
    found = minimum(VOLUMES, 2e-3 * (VOLUMES - 16) ** 2 - 3)
    assert found.volume == pytest.approx(16, abs=0.02)
    assert found.energy == pytest.approx(-3, abs=1e-3)
    assert found.bulk == pytest.approx(16 * 4e-3 * 160.2, rel=0.1)


@pytest.mark.parametrize(
    ("energies", "why"),
    [
        # what scipy gives up on: a trained network's fcc metal looked like this
        ([1.01, 0.51, -0.66, 0.18, 0.26, -0.13, 0.52, -0.17, -0.53, -1.12, -1.86, 0.37, -1.24], "no curve"),
        (-(np.abs(np.arange(13) - 6.0) ** 2) - np.eye(13)[6] * 99, "no minimum"),  # a spike on a dome
        (np.arange(13.0), "the minimum is not between the volumes computed"),
    ],
)
def test_energies_without_a_minimum_are_a_reason(energies, why: str) -> None:
    with pytest.raises(NotComputedError, match=why):
        minimum(VOLUMES, np.asarray(energies))


def test_fewer_volumes_than_parameters() -> None:
    with pytest.raises(NotComputedError, match="4 volumes, 5 at least"):
        minimum(VOLUMES[:4], np.zeros(4))
