"""The calculator of many crystals takes as many at once as fit, and gives each its own numbers."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from uprung.models.calculator import calculator


@pytest.mark.parametrize("limit", [1, 400, 10**9])
def test_how_many_are_computed_at_once_changes_no_result(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calc = calculator("chgnet-0.3.0")
    crystals = [bulk("Si", cubic=True), bulk("Cu"), bulk("MgO", "rocksalt", a=4.2), bulk("Al", cubic=True)]
    for k, atoms in enumerate(crystals):
        atoms.rattle(0.05, seed=k)
    batches = list[int]()
    batch = calc.potential.batch

    def counted(inputs, rows):
        batches.append(len(rows))
        return batch(inputs, rows)

    monkeypatch.setattr(calc.potential, "batch", counted)
    monkeypatch.setattr(calc.potential, "predicted_at_once", {"cpu": limit, "cuda": limit})
    found = calc.evaluate(crystals)
    assert sum(batches) == 4
    assert (len(batches) == 1) == (limit == 10**9)
    for atoms, result in zip(crystals, found, strict=True):
        alone = calc.evaluate([atoms])[0]
        assert result["energy"] == pytest.approx(alone["energy"], abs=1e-4)
        assert result["forces"].shape == (len(atoms), 3)
        np.testing.assert_allclose(result["forces"], alone["forces"], atol=1e-4)
        np.testing.assert_allclose(result["stress"], alone["stress"], atol=1e-5)
        assert result["magmoms"].shape == (len(atoms),)


def test_no_crystal_has_no_result() -> None:
    assert calculator("chgnet-0.3.0").evaluate([]) == []
