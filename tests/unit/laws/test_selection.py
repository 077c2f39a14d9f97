"""Which law the points support."""

from __future__ import annotations

import numpy as np
import pytest

from uprung import laws
from uprung.config import laws as config_laws
from uprung.laws import selection

N = 100.0 * 2 ** np.arange(8)


def points(mae, *, spread=0.03, seeds=3, entropy=0, n=N) -> laws.LogPoints:
    n = np.repeat(n, seeds)
    noise = np.random.default_rng(entropy).standard_normal(len(n))
    return laws.log_points(n, mae(n) * np.exp(spread * noise))


def test_aicc_by_hand_counts_sizes_and_not_runs():
    p = points(lambda n: n**-0.5)
    residual = p.mean(p.y) - np.polyval(np.polyfit(p.mean(p.x), p.mean(p.y), 1), p.mean(p.x))
    by_hand = 8 * np.log(3 * np.sum(residual**2) / 8) + 2 * 3 + 2 * 3 * 4 / (8 - 3 - 1)
    assert laws.score(p)[0].aicc == pytest.approx(by_hand)
    few = {s.law: s for s in laws.score(points(lambda n: n**-0.5, n=N[:5]))}
    assert np.isnan(few["saturating"].aicc)
    assert "needs 6 sizes" in few["saturating"].reason


@pytest.mark.parametrize("law", laws.LAWS)
def test_a_size_left_out_is_predicted_from_the_others_alone(law):
    p = points(lambda n: n**-0.5 + 0.01, seeds=1)
    errors = []
    for i in range(len(N)):
        rest = p.without(i)
        errors.append(p.y[i] - selection.line_through(rest, law, p.x[i : i + 1])[0])
    found = next(s for s in laws.score(p) if s.law == law)
    assert found.left_out == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-9)


def test_a_clear_floor_is_found_and_a_line_is_kept():
    assert laws.choose(laws.score(points(lambda n: n**-0.7 + 0.02, spread=0.01))) == "saturating"
    chosen = [laws.choose(laws.score(points(lambda n: n**-0.5, entropy=k))) for k in range(40)]
    assert chosen.count("power") >= 38


def test_few_sizes_keep_the_power_law_and_say_that_it_is_refuted():
    scores = laws.score(points(lambda n: n**-0.9 + 0.05, spread=0.005, n=N[::2]))
    assert laws.choose(scores) == "power"
    assert any(s.p_line < selection.EVIDENCE for s in scores)


def test_one_seed_has_no_p_value_and_goes_by_aicc():
    scores = laws.score(points(lambda n: n**-0.7 + 0.02, spread=0.002, seeds=1))
    assert all(np.isnan(s.p_line) for s in scores)
    assert laws.choose(scores) == "saturating"


def test_the_study_file_and_the_library_know_the_same_laws():
    assert tuple(config_laws.LAWS) == laws.LAWS
