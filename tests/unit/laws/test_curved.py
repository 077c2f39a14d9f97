"""Curved laws: exact laws come back, intervals are open where the points leave them open, refusals say why."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from uprung import laws

N = 100.0 * 2 ** np.arange(8)
EXACT = {
    "saturating": (lambda n: 3 * n**-0.7 + 0.01, {"exponent": 0.7, "prefactor": 3, "floor": 0.01}),
    "shifted": (lambda n: 3 * (n + 900) ** -0.6, {"exponent": 0.6, "prefactor": 3, "shift": 900}),
    "broken": (
        lambda n: 2 * np.where(n < 800, n**-0.2, 800**-0.2 * (n / 800) ** -0.7),
        {"exponent": 0.7, "exponent_before": 0.2, "break": 800},
    ),
}


def noisy(law: str, *, spread: float = 0.03, seeds: int = 3, entropy: int = 0) -> laws.LogPoints:
    n = np.repeat(N, seeds)
    noise = np.random.default_rng(entropy).standard_normal(len(n))
    return laws.log_points(n, EXACT[law][0](n) * np.exp(spread * noise))


@pytest.mark.parametrize("law", EXACT)
def test_an_exact_law_is_recovered_and_extrapolated(law):
    mae, expected = EXACT[law]
    fit = laws.fit_curved(laws.log_points(N, mae(N)), law)
    found = fit.parameters()
    assert {k: found[k][0] for k in expected} == pytest.approx(expected, rel=2e-3)
    assert fit.predict([30.0, 1e6])[0] == pytest.approx(mae(np.array([30.0, 1e6])), rel=5e-3)
    assert fit.r2 == pytest.approx(1, abs=1e-6)


def test_the_saturating_fit_is_the_least_squares_optimum():
    points = noisy("saturating")

    def residuals(p):
        return points.y - np.log(np.exp(p[0] - p[1] * points.x) + np.exp(p[2]))

    oracle = optimize.least_squares(residuals, [1.0, 0.6, -4.0], xtol=1e-14, ftol=1e-14, gtol=1e-14)
    fit = laws.fit_curved(points, "saturating")
    assert np.sum(fit.residual**2) == pytest.approx(2 * oracle.cost, rel=1e-5)
    assert fit.parameters()["exponent"][0] == pytest.approx(oracle.x[1], abs=2e-3)


def test_the_profile_interval_ends_where_the_squares_have_risen_by_t2_s2():
    points = noisy("saturating")
    fit = laws.fit_curved(points, "saturating")
    _, low, high = fit.parameters()["exponent"]
    limit = np.sum(fit.residual**2) + laws.student_t(0.95, fit.df) ** 2 * fit.spread.variance
    for a in (low, high):

        def residuals(p, a=a):
            return points.y - np.log(np.exp(p[0] - a * points.x) + np.exp(p[1]))

        best = optimize.least_squares(residuals, [1.0, -4.0], xtol=1e-13, ftol=1e-13)
        assert 2 * best.cost == pytest.approx(limit, rel=0.1)


def test_the_interval_of_a_floor_begins_at_zero_where_a_power_law_fits_as_well():
    n, hits = np.repeat(N, 3), 0
    for entropy in range(60):
        noise = np.random.default_rng(entropy).standard_normal(len(n))
        points = laws.log_points(n, 3 * n**-0.5 * np.exp(0.05 * noise))
        fit = laws.fit_curved(points, "saturating")
        straight = np.sum(np.square(points.y - np.log(laws.fit_power(points).predict(n)[0])))
        limit = np.sum(fit.residual**2) + laws.student_t(0.95, fit.df) ** 2 * fit.spread.variance
        assert (fit.parameters()["floor"][1] == 0.0) == (straight <= limit)
        hits += straight <= limit
    assert hits >= 54


def test_every_law_holds_a_power_law():
    """Nested laws fit at least as well; this also bounds errors of the search."""
    rng = np.random.default_rng(3)
    for _ in range(5):
        points = laws.log_points(N, 3 * N**-0.4 * np.exp(0.1 * rng.standard_normal(len(N))))
        plain = np.sum(np.square(points.y - np.log(laws.fit_power(points).predict(N)[0])))
        for law in laws.LAWS[1:]:
            assert np.sum(laws.fit_curved(points, law).residual ** 2) <= plain * (1 + 1e-4)


@pytest.mark.parametrize(("law", "needed"), [("saturating", 4), ("shifted", 4), ("broken", 5)])
def test_too_few_sizes_are_refused(law, needed):
    n = N[: needed - 1]
    with pytest.raises(laws.LawRefused, match=f"{needed - 1} distinct size.*{law} law needs {needed}"):
        laws.fit_law(laws.log_points(n, n**-0.5), law)


@pytest.mark.parametrize("law", laws.LAWS)
def test_the_robust_loss_shrugs_off_a_wild_point(law):
    expected = EXACT[law][1]["exponent"] if law in EXACT else 0.5
    points = noisy(law, spread=0.01) if law in EXACT else laws.log_points(np.repeat(N, 3), np.repeat(N, 3) ** -0.5)
    wild = laws.log_points(np.exp(points.x), np.exp(points.y + np.where(np.arange(len(points.x)) == 12, 1.5, 0.0)))
    exponents = [laws.fit_law(wild, law, robust=robust).parameters()["exponent"][0] for robust in (False, True)]
    assert abs(exponents[1] - expected) < 0.05
    assert abs(exponents[1] - expected) < abs(exponents[0] - expected)


@pytest.mark.parametrize("law", laws.LAWS)
def test_test_noise_widens_and_never_narrows(law):
    points = noisy(law) if law in EXACT else noisy("saturating")
    moved = np.random.default_rng(0).normal(size=(200, 1)) * 0.3 * np.ones(len(points.x))
    shared = laws.Materials.of(np.exp(moved), np.ones(200))
    with_noise = laws.log_points(np.exp(points.x), np.exp(points.y), test=shared)
    plain, wider = (laws.fit_law(p, law).predict([300.0, 5000.0]) for p in (points, with_noise))
    assert wider[0] == pytest.approx(plain[0])
    assert np.all(wider[1] < plain[1])
    assert np.all(wider[2] > plain[2])
    half = np.log(wider[2] / wider[0]) ** 2 - np.log(plain[2] / plain[0]) ** 2
    se = np.exp(moved[:, 0]).std(ddof=1) / np.exp(moved[:, 0]).mean() / np.sqrt(200)
    assert half == pytest.approx((1.96 * se) ** 2, rel=0.25)  # the upper quantile of a bootstrap-t, 1.96 if normal
