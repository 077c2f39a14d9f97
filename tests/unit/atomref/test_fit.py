from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from uprung.atomref.fit import BUILDERS, Estimator, Labelled, fit_reference
from uprung.atomref.references import ReferenceEnergies
from uprung.config.estimators import ESTIMATORS

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
        "target": Labelled(X, X @ TARGET, groups[:40]),
        "source": Labelled(X_low, X_low @ SOURCE, groups),
        "needed": needed(*SEEN, 20),
    }


def fit(labels: Any, **data: Any) -> ReferenceEnergies:
    return fit_reference(labels, **data)[0]


def relabelled(data: dict[str, Any], y: np.ndarray) -> dict[str, Any]:
    return {**data, "target": replace(data["target"], y=y)}


def test_target_energies_are_recovered(data: dict[str, Any]) -> None:
    reference = fit("target", **data)
    at = np.array(SEEN) - 1
    np.testing.assert_allclose(reference.values[at], TARGET[at], atol=1e-9)
    assert set(reference.origin[at]) == {"fit"}


def test_an_element_without_target_frames_gets_source_plus_smooth_shift_not_zero(data: dict[str, Any]) -> None:
    reference = fit("target", **data)
    assert reference.origin[19] == "prior"
    assert reference.values[19] == pytest.approx(TARGET[19], abs=1e-6)  # the shift is linear in Z, so this is exact
    assert reference.n_structures[19] == 0
    unknown = ~data["needed"]
    assert np.isnan(reference.values[unknown]).all()  # no source, no value: never a silent zero


def test_source_fits_the_low_side_alone(data: dict[str, Any]) -> None:
    reference = fit("source", **data)
    at = np.array([*SEEN, 20]) - 1
    np.testing.assert_allclose(reference.values[at], SOURCE[at], atol=1e-9)
    changed = fit("source", **relabelled(data, data["target"].y + 100.0))
    np.testing.assert_array_equal(changed.values, reference.values)


def test_source_refuses_what_it_did_not_see(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="As"):
        fit("source", **{**data, "needed": needed(*SEEN, 20, 33)})


@pytest.mark.parametrize("seed", range(3))
def test_residual_and_network_together_are_exact(data: dict[str, Any], seed: int) -> None:
    """Energies = network + something linear in composition, whatever the network says."""
    rng = np.random.default_rng(seed)
    network, checkpoint, shift = rng.normal(size=40), rng.normal(size=N), rng.normal(size=N)
    X, y = data["target"].X, network + data["target"].X @ shift
    reference = fit("residual", residual=(network, checkpoint), **relabelled(data, y))
    np.testing.assert_allclose(network + reference.predict(X), y, atol=1e-9)
    at = np.array(SEEN) - 1
    np.testing.assert_allclose(reference.values[at], shift[at], atol=1e-9)


def test_prior_of_a_residual_leans_on_the_checkpoint_not_on_the_low_side(data: dict[str, Any]) -> None:
    checkpoint = TARGET + 0.25  # what the network was trained beside
    network = np.random.default_rng(0).normal(size=40)
    reference = fit("residual", residual=(network, checkpoint), **relabelled(data, data["target"].y + network))
    assert reference.origin[19] == "prior"
    assert reference.values[19] == pytest.approx(TARGET[19], abs=1e-6)


def test_policy_error_names_the_element(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Ca occur.*policy"):
        fit("target", policy="error", **data)
    fit("target", policy="error", **{**data, "needed": needed(*SEEN)})


def test_policy_error_holds_for_residuals(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Ca"):
        fit("residual", residual=(np.zeros(40), TARGET), policy="error", **data)


def test_an_element_that_neither_side_knows_is_an_error(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="As"):
        fit("target", **{**data, "needed": needed(*SEEN, 33)})


def test_a_residual_needs_a_prediction(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs the prediction of the pretrained network"):
        fit("residual", **data)


@pytest.mark.parametrize("name", ["ridge", "huber", "prior-ridge"])
@pytest.mark.parametrize("labels", ["target", "residual"])
def test_every_estimator_fits_targets_and_residuals(data: dict[str, Any], name: Any, labels: Any) -> None:
    network = np.random.default_rng(0).normal(size=40)
    options = {"residual": (network, TARGET + 0.25)} if labels == "residual" else {}
    shifted = relabelled(data, data["target"].y + network * (labels == "residual"))
    reference = fit(labels, estimator=Estimator(name), **shifted, **options)
    np.testing.assert_allclose(reference.values[np.array(SEEN) - 1], TARGET[np.array(SEEN) - 1], atol=0.01)
    assert reference.values[19] == pytest.approx(TARGET[19], abs=0.05)  # the unseen one
    assert reference.estimator == name


def test_what_is_kept_together_reaches_the_choice_of_a_strength(data: dict[str, Any]) -> None:
    y = data["target"].y + np.random.default_rng(1).normal(size=20).repeat(2)
    found = []
    for together in (None, np.arange(40) // 2):
        target = replace(data["target"], X=np.repeat(data["target"].X[::2], 2, axis=0), y=y, together=together)
        found.append(fit_reference("target", **{**data, "target": target}, estimator=Estimator("ridge"))[1].strength_)
    assert found[0] < found[1]


def test_bootstrap_errors_take_the_place_of_analytic_ones(data: dict[str, Any]) -> None:
    y = data["target"].y + np.random.default_rng(2).normal(size=40)
    shifted = relabelled(data, y)
    analytic = fit("target", **shifted)
    drawn = fit("target", estimator=Estimator(resamples=60, seed=3), **shifted)
    np.testing.assert_array_equal(drawn.values, analytic.values)
    at = np.array(SEEN) - 1
    assert (drawn.stderr[at] != analytic.stderr[at]).all()
    assert np.median(drawn.stderr[at] / analytic.stderr[at]) == pytest.approx(1, abs=0.4)  # from 20 materials
    again = fit("target", estimator=Estimator(resamples=60, seed=3), **shifted)
    np.testing.assert_array_equal(drawn.stderr, again.stderr)


def test_policy_source_takes_the_source_as_it_is(data: dict[str, Any]) -> None:
    reference = fit("target", policy="source", **data)
    assert reference.origin[19] == "source"
    assert reference.values[19] == pytest.approx(SOURCE[19], abs=1e-6)


@pytest.mark.parametrize(
    ("labels", "estimator", "match"),
    [
        ("source", Estimator("prior-ridge"), "leans on source references"),
        ("target", Estimator("isolated-atom"), "no energies of elements"),
        ("target", Estimator("lasso"), "no estimator 'lasso' .*least-squares, ridge, huber"),
    ],
)
def test_estimators_without_what_they_need_are_refused(
    data: dict[str, Any], labels: Any, estimator: Estimator, match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        fit(labels, estimator=estimator, **data)


def test_every_estimator_of_the_study_file_is_built_and_no_other() -> None:
    assert BUILDERS.keys() == ESTIMATORS.keys()
    for name in ESTIMATORS:
        assert Estimator(name, elements=TARGET).build(SOURCE).name == name
