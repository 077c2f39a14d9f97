"""Shape, reach, back-test and many starts."""

from __future__ import annotations

import numpy as np
import pytest

from uprung import laws

N = 100.0 * 2 ** np.arange(6)


def points(mae, *, spread=0.03, seeds=3, entropy=0, n=N) -> laws.LogPoints:
    x = np.repeat(n, seeds)
    return laws.log_points(x, mae(x) * np.exp(spread * np.random.default_rng(entropy).standard_normal(len(x))))


def flat(n):
    return 3 * n**-0.5


def hump(n):
    return np.where(n == 400, 2.0, 1.0) * flat(n)


def late(n):
    return 2 * np.where(n < 800, n**-0.02, 800**-0.02 * (n / 800) ** -2.0)


def test_a_curve_that_falls_ever_more_slowly_passes():
    shapes = [laws.shape_of(points(flat, entropy=i, spread=0.1)) for i in range(300)]
    assert sum(s.monotone for s in shapes) >= 294
    assert sum(s.convex for s in shapes) >= 294
    assert shapes[0].words == "falls, ever more slowly, within noise"


def test_a_rise_is_named_with_its_sizes_and_no_law_is_fitted_to_it():
    shape = laws.shape_of(points(hump))
    assert shape.monotone is False
    assert shape.rises == ((pytest.approx(200.0), pytest.approx(400.0)),)
    assert shape.words == "rises from n = 200 to 400 beyond noise"


def test_a_curve_that_falls_faster_and_faster_is_not_convex():
    shape = laws.shape_of(points(late))
    assert (shape.monotone, shape.convex) == (True, False)


def test_one_seed_leaves_the_shape_unknown_and_says_where_it_rises():
    shape = laws.shape_of(points(hump, seeds=1))
    assert (shape.monotone, shape.convex) == (None, None)
    assert shape.words == "noise unknown (one seed); rises from n = 200 to 400"


def test_a_law_reaches_twice_the_largest_size_and_farther_with_evidence_against_a_floor():
    exact, rough = points(flat, spread=0.002), points(flat, spread=0.2)
    for p, known in ((exact, True), (rough, False)):
        power, floor = laws.fit_law(p, "power"), laws.fit_law(p, "saturating")
        assert laws.out_of_reach(power, floor, 2 * power.n_max) == ""
        assert (laws.out_of_reach(power, floor, 5 * power.n_max) == "") == known
        assert laws.out_of_reach(floor, floor, 50 * power.n_max) == ""
    few = laws.fit_law(points(flat, n=N[:3]), "power")
    assert "too few sizes for evidence against a floor" in laws.out_of_reach(few, None, 10 * few.n_max)


def test_the_back_test_holds_for_a_line_and_misses_a_curve_that_levels_off_at_its_end():
    good = [laws.back_test(points(flat, entropy=i, spread=0.05)) for i in range(200)]
    assert 0.9 <= np.mean([b.hit for b in good]) <= 0.99
    assert good[0].n == pytest.approx(3200)
    assert good[0].predicted == pytest.approx(flat(3200), rel=0.2)
    bent = laws.back_test(points(lambda n: flat(np.minimum(n, 1600)), spread=0.01))
    assert not bent.hit
    with pytest.raises(laws.LawRefused, match="2 distinct size"):
        laws.back_test(points(flat, n=N[:3]))


@pytest.mark.parametrize("law", laws.LAWS[1:])
def test_no_start_finds_a_better_fit(law):
    for i in range(5):
        p = points(lambda n: 3 * n**-0.6 + 0.02, entropy=i, spread=0.05)
        found = laws.multi_start(p, law)
        total = np.sum((p.y - p.y.mean()) ** 2)
        assert found.squares <= found.lowest + 1e-5 * total
        assert found.agreeing >= 1
        assert found.starts == 8


def test_one_new_run_scatters_more_than_the_line():
    rng, hits = np.random.default_rng(0), 0
    for i in range(300):
        law = laws.fit_law(points(flat, entropy=i, spread=0.1), "power")
        _, low, high = law.predict_run(400.0)
        hits += bool(low <= flat(400.0) * np.exp(0.1 * rng.standard_normal()) <= high)
    assert 0.92 <= hits / 300 <= 0.98


def test_simultaneous_intervals_are_wider_for_every_law():
    p = points(flat)
    for name in laws.LAWS:
        (value, *_), (same, *_) = (laws.fit_law(p, name, confidence=c).parameters()["exponent"] for c in (0.95, 0.995))
        ends = [laws.fit_law(p, name, confidence=c).parameters()["exponent"][1:] for c in (0.95, 0.995)]
        assert value == same
        assert ends[1][0] < ends[0][0] < ends[0][1] < ends[1][1]
