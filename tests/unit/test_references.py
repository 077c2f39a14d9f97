from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from uprung.references import fit_reference

N = 94


def compositions(elements: list[int], n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    X = np.zeros((n, N))
    X[:, np.array(elements) - 1] = rng.dirichlet(np.ones(len(elements)), size=n)
    return X


def needed(*elements: int) -> np.ndarray:
    mask = np.zeros(N, dtype=bool)
    mask[np.array(elements) - 1] = True
    return mask


SEEN = [3, 8, 14, 26, 29, 30, 47, 79]
TARGET = -3.0 - 0.1 * np.arange(1, N + 1)  # eV/atom of the better functional
SOURCE = TARGET + 1.5 + 0.02 * np.arange(1, N + 1)  # the cheap one: a shift linear in Z


@pytest.fixture
def data() -> dict[str, Any]:
    X, X_low = compositions(SEEN, 40, 0), compositions([*SEEN, 20], 60, 1)
    groups = np.array([f"m{n // 2}" for n in range(60)])
    return {
        "X": X,
        "y": X @ TARGET,
        "groups": groups[:40],
        "source": (X_low, X_low @ SOURCE, groups),
        "needed": needed(*SEEN, 20),
    }


def test_target_energies_are_recovered(data: dict[str, Any]) -> None:
    reference = fit_reference("target", **data)
    at = np.array(SEEN) - 1
    np.testing.assert_allclose(reference.values[at], TARGET[at], atol=1e-9)
    assert set(reference.origin[at]) == {"fit"}


def test_an_element_without_target_frames_gets_source_plus_smooth_shift_not_zero(data: dict[str, Any]) -> None:
    reference = fit_reference("target", **data)
    assert reference.origin[19] == "prior"
    assert reference.values[19] == pytest.approx(TARGET[19], abs=1e-6)  # the shift is linear in Z, so this is exact
    assert reference.n_structures[19] == 0
    unknown = ~data["needed"]
    assert np.isnan(reference.values[unknown]).all()  # no source, no value: never a silent zero


def test_source_fits_the_low_side_alone(data: dict[str, Any]) -> None:
    reference = fit_reference("source", **data)
    at = np.array([*SEEN, 20]) - 1
    np.testing.assert_allclose(reference.values[at], SOURCE[at], atol=1e-9)
    changed = fit_reference("source", **{**data, "y": data["y"] + 100.0})
    np.testing.assert_array_equal(changed.values, reference.values)


def test_source_refuses_what_it_did_not_see(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="As"):
        fit_reference("source", **{**data, "needed": needed(*SEEN, 20, 33)})


@pytest.mark.parametrize("seed", range(3))
def test_residual_and_network_together_are_exact(data: dict[str, Any], seed: int) -> None:
    """Energies = network + something linear in composition, whatever the network says."""
    rng = np.random.default_rng(seed)
    network, checkpoint, shift = rng.normal(size=40), rng.normal(size=N), rng.normal(size=N)
    data["y"] = network + data["X"] @ shift
    reference = fit_reference("residual", residual=(network, checkpoint), **data)
    np.testing.assert_allclose(network + reference.predict(data["X"]), data["y"], atol=1e-9)
    at = np.array(SEEN) - 1
    np.testing.assert_allclose(reference.values[at], shift[at], atol=1e-9)


def test_prior_of_a_residual_leans_on_the_checkpoint_not_on_the_low_side(data: dict[str, Any]) -> None:
    checkpoint = TARGET + 0.25  # what the network was trained beside
    network = np.random.default_rng(0).normal(size=40)
    reference = fit_reference("residual", residual=(network, checkpoint), **{**data, "y": data["y"] + network})
    assert reference.origin[19] == "prior"
    assert reference.values[19] == pytest.approx(TARGET[19], abs=1e-6)


def test_policy_error_names_the_element(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Ca occur.*policy"):
        fit_reference("target", policy="error", **data)
    fit_reference("target", policy="error", **{**data, "needed": needed(*SEEN)})


def test_policy_error_holds_for_residuals(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Ca"):
        fit_reference("residual", residual=(np.zeros(40), TARGET), policy="error", **data)


def test_an_element_that_neither_side_knows_is_an_error(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="As"):
        fit_reference("target", **{**data, "needed": needed(*SEEN, 33)})


def test_a_residual_needs_a_prediction(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs the prediction of the pretrained network"):
        fit_reference("residual", **data)
