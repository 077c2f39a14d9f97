"""Where laws meet: in range, extrapolated, open, none; lines and curves."""

from __future__ import annotations

import numpy as np
import pytest

from uprung import laws

N = 100.0 * 2 ** np.arange(6)


def points(mae, *, spread=0.02, entropy=0, seeds=3, test=None) -> laws.LogPoints:
    n = np.repeat(N, seeds)
    noise = np.random.default_rng(entropy).standard_normal(len(n))
    return laws.log_points(n, mae(n) * np.exp(spread * noise), test=test)


def steep(n):
    return 800**0.4 * 0.1 * n**-0.7


def flat(n):
    return 0.1 * n**-0.3


def test_a_curve_and_a_line_meet_where_their_formulae_do():
    a = laws.fit_law(points(steep), "power")
    b = laws.fit_law(points(flat, entropy=1), "saturating")
    lines = laws.crossover(a, laws.fit_law(points(flat, entropy=1), "power"))
    curves = laws.crossover(a, b)
    assert (curves.kind, curves.better_above) == ("in range", "scratch")
    assert curves.n == pytest.approx(800, rel=0.1)
    assert curves.low < 800 < curves.high
    assert curves.low < curves.n < curves.high
    assert curves.n == pytest.approx(lines.n, rel=0.1)


def test_curves_that_only_approach_do_not_cross():
    a = laws.fit_law(points(lambda n: 2 * flat(n)), "saturating")
    b = laws.fit_law(points(flat, entropy=1), "saturating")
    found = laws.crossover(a, b)
    assert (found.kind, found.better_above) == ("none", "")
    assert np.isinf(found.high)
    assert found.low >= N[-1]
    assert "do not differ clearly in both orders" in found.reason


def test_far_extrapolations_count_their_decades():
    a = laws.fit_law(points(lambda n: 1000**0.4 * steep(n), spread=0.002), "power")
    b = laws.fit_law(points(flat, spread=0.002, entropy=1), "power")
    found = laws.crossover(a, b)
    assert found.kind == "extrapolated"
    assert found.decades == pytest.approx(np.log10(800_000 / 3200), abs=0.05)
    assert found.low < 800_000 < found.high


def materials(columns: np.ndarray) -> laws.Materials:
    """Return materials whose errors move as some columns (materials, runs) do."""
    return laws.Materials.of(np.exp(columns), np.ones(len(columns)))


def test_noise_of_shared_test_materials_cancels_where_both_arms_have_it():
    """Errors that move together leave the crossing alone; independent ones widen its interval."""
    size = 3 * len(N)
    rng = np.random.default_rng(0)
    one, other = (0.7 * rng.standard_normal((200, 1)) * np.ones(size) for _ in range(2))
    fits = [laws.fit_law(points(f, entropy=i, test=materials(one)), "power") for i, f in enumerate((steep, flat))]
    together, apart = materials(np.hstack([one, one])), materials(np.hstack([one, other]))
    width = {k: np.log((c := laws.crossover(*fits, test=t)).high / c.low) for k, t in (("a", together), ("b", apart))}
    alone = laws.crossover(*(laws.fit_law(points(f, entropy=i), "power") for i, f in enumerate((steep, flat))))
    assert width["a"] == pytest.approx(np.log(alone.high / alone.low), rel=0.05)
    assert width["b"] > 1.5 * width["a"]


def test_size_for_error_inverts_the_law_and_holds_its_band():
    fit = laws.fit_law(points(flat), "power")
    size = laws.size_for_error(fit, float(fit.predict(5000.0)[0]))
    assert size.n == pytest.approx(5000, rel=1e-3)
    assert fit.predict(size.low)[1] == pytest.approx(fit.predict(5000.0)[0], rel=1e-3)
    assert fit.predict(size.high)[2] == pytest.approx(fit.predict(5000.0)[0], rel=1e-3)
    floor = laws.fit_law(points(lambda n: n**-0.7 + 0.01, spread=0.001), "saturating")
    never = laws.size_for_error(floor, 0.005)
    assert np.isnan(never.n)
    assert np.isinf(never.high)


def test_equal_error_size_of_lines_is_the_ratio_by_hand():
    a, b = laws.fit_law(points(steep, spread=0), "power"), laws.fit_law(points(flat, spread=0), "power")
    for n in (100.0, 400.0, 3200.0):
        by_hand = (flat(n) / (800**0.4 * 0.1)) ** (-1 / 0.7)
        found = laws.equal_error_size(a, b, n)
        assert found.n == pytest.approx(by_hand, rel=1e-3)
        assert found.low <= found.n * 1.001
        assert found.high >= found.n * 0.999
