from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LinearRegression

from uprung.softening.slopes import (
    POOLED,
    TOO_FEW,
    Forces,
    bootstrap,
    forces_of,
    fraction_softened,
    softening_table,
    statistics,
)


def cloud(
    rng: np.random.Generator, scale: float, noise: float, *, frames: int = 40, atoms: int = 20, **changes
) -> Forces:
    label = rng.normal(size=(frames * atoms, 3))
    values = {
        "label": label,
        "predicted": scale * label + noise * rng.normal(size=label.shape),
        "frame": np.repeat(np.arange(frames), atoms),
        "material": np.full(frames * atoms, "m", dtype=object),
        "group": np.full(frames * atoms, "md", dtype=object),
    }
    return Forces(**{**values, **changes})


def test_statistics_are_those_of_standard_fits() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0.2, 1.0, size=500)
    y = 0.1 + 0.8 * x + 0.3 * rng.normal(size=500)
    found = statistics(x, y)
    origin = LinearRegression(fit_intercept=False).fit(x[:, None], y)
    line, back = stats.linregress(x, y), LinearRegression(fit_intercept=False).fit(y[:, None], x)
    assert found["slope"] == pytest.approx(origin.coef_[0])
    assert (found["slope_intercept"], found["intercept"]) == (pytest.approx(line.slope), pytest.approx(line.intercept))
    assert found["inverse_slope"] == found["multiplier"] == pytest.approx(back.coef_[0])
    assert found["r2"] == pytest.approx(np.sum(x * y) ** 2 / (np.sum(x**2) * np.sum(y**2)))
    assert found["mae"] == pytest.approx(np.abs(x - y).mean())
    assert found["cmae"] == pytest.approx(np.abs(y / origin.coef_[0] - x).mean())


@settings(deadline=None)
@given(seed=st.integers(0, 50), scale=st.floats(0.2, 2.0), noise=st.floats(0.0, 1.0))
def test_the_multiplier_is_the_best_one_and_never_beyond_the_inverse_of_the_slope(seed, scale, noise) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=300)
    y = scale * x + noise * rng.normal(size=300)
    found = statistics(x, y)
    best = found["multiplier"]
    error = lambda c: np.sum((c * y - x) ** 2)  # noqa: E731
    assert error(best) <= min(error(best * 1.01), error(best * 0.99), error(1.0)) + 1e-9
    assert abs(best) <= 1 / abs(found["slope"]) * (1 + 1e-9)
    assert found["slope"] * found["inverse_slope"] == pytest.approx(found["r2"])


def test_a_calibrated_predictor_is_not_called_soft() -> None:
    """It knows half of the variance: slope = R² = 0.5, and no multiplier makes it better."""
    called = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        known = rng.normal(size=(2000, 3))
        forces = cloud(rng, 1, 0, frames=100, label=known + rng.normal(size=known.shape), predicted=known)
        row = softening_table(forces, resamples=200, seed=0).iloc[0]
        assert row["slope"] == pytest.approx(0.5, abs=0.05)
        assert row["slope"] == pytest.approx(row["r2"], abs=0.05)
        assert row["softened"]
        assert row["cmae"] > row["mae"]  # turning the cloud back makes it worse: cMAE is no bound here
        called.append(row["reading"])
    # by its 95 % interval one in forty may be called soft, and one in forty too large
    assert called.count("slope below 1 may be the shrinkage of a calibrated predictor") >= 16


@pytest.mark.parametrize(
    ("scale", "noise", "words"),
    [
        (0.8, 0.1, "too soft"),
        (1.2, 0.1, "too stiff"),
        (1.0, 0.1, "slope does not differ from 1"),
        (0.8, 1.0, "slope below 1 from scatter: smaller forces would fit better"),
    ],
)
def test_what_a_slope_says(scale: float, noise: float, words: str) -> None:
    row = softening_table(cloud(np.random.default_rng(2), scale, noise), resamples=300, seed=0).iloc[0]
    assert row["reading"] == words
    assert row["slope_low"] < row["slope"] < row["slope_high"]
    if words == "too soft":
        assert row["cmae"] < 0.8 * row["mae"]


def test_intervals_cover_the_slope_of_other_frames() -> None:
    """Frames of one trajectory are alike: atoms are no independent observations, frames are."""
    inside = 0
    for k in range(120):
        rng = np.random.default_rng(k)
        scale = np.repeat(0.8 + 0.1 * rng.normal(size=30), 20)[:, None]
        label = rng.normal(size=(600, 3))
        forces = cloud(rng, 1, 0, frames=30, label=label, predicted=scale * label)
        low, high = bootstrap(forces, resamples=200, seed=0)["slope"]
        inside += low <= 0.8 <= high
    assert 0.88 <= inside / 120 <= 0.99


def correlated(rng: np.random.Generator, runs: int) -> Forces:
    """Return frames of trajectories that share an error of their slope, 0.8 on average, five frames each."""
    own = np.repeat(np.arange(runs), 5 * 20)
    label = rng.normal(size=(len(own), 3))
    scale = 0.8 + 0.1 * rng.normal(size=runs)[own][:, None]
    return cloud(rng, 1, 0, frames=5 * runs, label=label, predicted=scale * label, trajectory=own)


def test_frames_of_one_trajectory_are_drawn_together() -> None:
    inside = {"trajectories": 0, "frames": 0}
    for k in range(100):
        forces = correlated(np.random.default_rng(k), 12)
        alone = Forces(forces.label, forces.predicted, forces.frame, forces.material, forces.group)
        for name, own in (("trajectories", forces), ("frames", alone)):
            low, high = bootstrap(own, resamples=200, seed=k)["slope"]
            inside[name] += low <= 0.8 <= high
    assert inside["trajectories"] >= 84
    assert inside["frames"] < 75


def test_two_trajectories_give_no_interval_however_many_frames() -> None:
    row = softening_table(correlated(np.random.default_rng(0), 2), resamples=100, seed=0).iloc[0]
    assert (row["n_trajectories"], row["n_frames"]) == (2, 10)
    assert np.isnan(row["slope_low"])
    assert row["reading"] == TOO_FEW


def test_a_trajectory_for_every_frame_is_none_for_all() -> None:
    forces = several(np.random.default_rng(4), [0.7, 0.8, 0.9])
    own = Forces(forces.label, forces.predicted, forces.frame, forces.material, forces.group, forces.frame)
    assert bootstrap(own, resamples=100, seed=1) == bootstrap(forces, resamples=100, seed=1)


def test_trajectories_of_an_evaluation_set_reach_the_table() -> None:
    rng = np.random.default_rng(0)
    label = rng.normal(size=(10, 3))
    names = np.array(["m"] * 5, dtype=object)
    runs = np.array(["a", "a", None, "b", None], dtype=object)
    forces, _ = forces_of(label, 0.8 * label, np.full(5, 2), names, names, runs)
    assert softening_table(forces, resamples=100, seed=0).iloc[0]["n_trajectories"] == 4


def literally(forces: Forces, resamples: int, seed: int) -> dict[str, np.ndarray]:
    """Slope and cMAE of resamples that are put together material by material, frame by frame."""
    rng = np.random.default_rng(seed)
    materials = list(dict.fromkeys(forces.material))
    atoms = {
        m: [
            np.flatnonzero((forces.material == m) & (forces.frame == f))
            for f in np.unique(forces.frame[forces.material == m])
        ]
        for m in materials
    }
    found: dict[str, list[float]] = {"slope": [], "cmae": []}
    for _ in range(resamples):
        drawn = [materials[k] for k in rng.integers(len(materials), size=len(materials))]
        picked = [atoms[m][k] for m in drawn for k in rng.integers(len(atoms[m]), size=len(atoms[m]))]
        rows = np.concatenate(picked)
        values = statistics(forces.label[rows].ravel(), forces.predicted[rows].ravel())
        for name, own in found.items():
            own.append(values[name])
    return {name: np.array(own) for name, own in found.items()}


@pytest.mark.parametrize("scales", [[0.8], [0.6, 0.7, 0.9, 1.0, 1.1]])
def test_intervals_are_those_of_literal_resamples(scales: list[float]) -> None:
    forces = several(np.random.default_rng(4), scales)
    uneven = forces.take((forces.material != "m1") | (forces.frame < 3))  # materials need not have as many frames
    draws = literally(uneven, 4000, seed=5)
    found = bootstrap(uneven, resamples=4000, seed=6)
    for name, values in draws.items():
        wanted = np.percentile(values, [2.5, 97.5])
        np.testing.assert_allclose(found[name], wanted, atol=0.06 * np.ptp(wanted))


def several(rng: np.random.Generator, scales: list[float]) -> Forces:
    parts = [cloud(rng, scale, 0.05, frames=8) for scale in scales]
    material = np.repeat([f"m{k}" for k in range(len(parts))], [len(part.label) for part in parts]).astype(object)
    joined = {
        name: np.concatenate([getattr(p, name) for p in parts]) for name in ("label", "predicted", "frame", "group")
    }
    return Forces(**joined, material=material)


def test_materials_are_told_apart_and_pooled() -> None:
    table = softening_table(several(np.random.default_rng(3), [0.7, 0.8, 0.9, 1.1]), resamples=200, seed=0)
    whole = table[table["subset"] == "all"].set_index("material")
    assert list(whole.index) == ["m0", "m1", "m2", "m3", POOLED]
    np.testing.assert_allclose(whole["slope"].iloc[:4], [0.7, 0.8, 0.9, 1.1], atol=0.02)
    assert whole.loc[POOLED, "n_frames"] == 32  # frames of different materials share numbers
    # other materials might have come: the pooled interval is that of a draw of materials
    width = whole["slope_high"] - whole["slope_low"]
    assert width[POOLED] > 5 * width["m0"]
    soft = fraction_softened(table, resamples=500, seed=0)
    assert (soft["share"], soft["materials"]) == (0.75, 4)
    assert soft["low"] < 0.75 < soft["high"]


def test_subsets_by_size_and_group_hold_every_component_once() -> None:
    rng = np.random.default_rng(4)
    forces = cloud(rng, 0.9, 0.1, group=np.array(["md", "surface"] * 400, dtype=object))
    table = softening_table(forces, resamples=100, seed=0)
    total = len(forces.label) * 3
    assert table.loc[table["subset"] == "all", "n_components"].tolist() == [total]
    for subset in ("force", "group"):
        assert table.loc[table["subset"] == subset, "n_components"].sum() == total
    assert table.loc[table["subset"] == "group", "key"].tolist() == ["md", "surface"]


def test_too_few_frames_have_no_interval() -> None:
    row = softening_table(cloud(np.random.default_rng(5), 0.8, 0.1, frames=2), resamples=100, seed=0).iloc[0]
    assert np.isnan(row["slope_low"])
    assert np.isfinite(row["slope"])
    assert row["reading"] == TOO_FEW


def test_forces_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="predicted forces that are not finite"):
        cloud(np.random.default_rng(0), 1, 0, predicted=np.full((800, 3), np.nan))
    with pytest.raises(ValueError, match="forces need"):
        cloud(np.random.default_rng(0), 1, 0, frame=np.zeros(3))
