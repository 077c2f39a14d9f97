"""Orders of training units: nested, and of the kind that they promise."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from factories import make_frame, table_of
from hypothesis import given
from hypothesis import strategies as st

from uprung.datasets.sampling import diverse_places, mean_by_unit, places_of, stratified_places, structure_features
from uprung.datasets.sizes import subset
from uprung.datasets.splits import training_order


def ordered(places: dict[str, float]) -> list[str]:
    return sorted(places, key=lambda name: (places[name], name))


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12), seed=st.integers(0, 3))
def test_every_prefix_holds_the_strata_in_proportion(sizes: list[int], seed: int) -> None:
    strata = {f"{s}-{k}": str(s) for s, n in enumerate(sizes) for k in range(n)}
    order = ordered(stratified_places(strata, key=str(seed)))
    assert sorted(order) == sorted(strata)
    total = sum(sizes)
    for m in range(1, total + 1):
        found = Counter(strata[name] for name in order[:m])
        for s, n in enumerate(sizes):
            assert abs(found[str(s)] - n * m / total) <= 1 + len(sizes) / 2 + n / total


def test_strata_differ_from_seed_to_seed() -> None:
    strata = {f"{s}-{k}": str(s) for s in range(4) for k in range(9)}
    assert ordered(stratified_places(strata, key="a")) != ordered(stratified_places(strata, key="b"))


def test_diverse_prefixes_reach_every_region_before_they_return_to_one() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(scale=20, size=(8, 5))
    crowd = [300, 2, 50, 5, 100, 3, 20, 40]  # random draws would miss the small ones
    features = {f"{c}-{k}": centres[c] + 0.01 * rng.normal(size=5) for c, n in enumerate(crowd) for k in range(n)}
    for seed in (0, 1, 2):
        order = ordered(diverse_places(features, seed=seed))
        assert sorted(order) == sorted(features)
        assert len({name.split("-")[0] for name in order[:60]}) == 8
    rare = [name for name in ordered(diverse_places(features, seed=0))[:60] if name.split("-")[0] in "135"]
    assert len(rare) >= 5


def test_diverse_is_repeatable_and_depends_on_the_seed() -> None:
    rng = np.random.default_rng(1)
    features = {str(k): rng.normal(size=6) for k in range(80)}
    assert diverse_places(features, seed=3) == diverse_places(dict(reversed(features.items())), seed=3)
    assert diverse_places(features, seed=3) != diverse_places(features, seed=4)


@pytest.mark.parametrize("features", [{"a": np.zeros(3)}, {"a": np.zeros(3), "b": np.zeros(3), "c": np.zeros(3)}])
def test_units_that_nothing_tells_apart_are_ordered_all_the_same(features: dict[str, np.ndarray]) -> None:
    assert sorted(diverse_places(features, seed=0)) == sorted(features)


def test_features_tell_bond_lengths_and_compositions_apart_and_not_the_size_of_the_cell() -> None:
    frames = table_of(
        [
            make_frame("a", bond=2.0),
            make_frame("b", bond=2.0),
            make_frame("c", bond=3.0),
            make_frame("d", Z=(14, 8), bond=2.0),
            make_frame("chain", Z=(14, 14, 14, 14), bond=3.75),  # periodic along x
            make_frame(
                "half",
                Z=(14, 14),
                bond=3.75,
                lattice=np.diag([7.5, 15.0, 15.0]),
                frac=np.array([[0.1, 0, 0], [0.6, 0, 0]]),
            ),
        ]
    )
    X = structure_features(frames)
    np.testing.assert_array_equal(X[0], X[1])
    assert np.abs(X[0] - X[2]).max() > 0.1
    assert np.abs(X[0] - X[3]).max() > 0.1
    np.testing.assert_allclose(X[4], X[5], atol=1e-12)


@pytest.mark.parametrize("sampling", ["stratified", "diverse"])
@pytest.mark.parametrize("draw", ["material", "frame"])
def test_subsets_of_an_order_are_nested_whole_units(sampling, draw) -> None:
    rng = np.random.default_rng(0)
    frames = table_of(
        [
            make_frame(f"f{k}", Z=(14, 8 + k % 3), bond=rng.uniform(1.5, 3.0), material_id=f"m{k // 3}")
            for k in range(60)
        ]
    )
    train = pd.DataFrame(
        {
            "row": np.arange(60),
            "frame_id": frames.strings("frame_id"),
            "material_id": frames.strings("material_id"),
        }
    )
    places = places_of(sampling, frames, train, draw=draw, seed=1, key="k")
    order = training_order(train, draw=draw, seed=1, key="k", places=places)
    assert sorted(order["frame_id"]) == sorted(train["frame_id"])
    taken: set[str] = set()
    for size in ("5", "12", "30", "all"):
        now = set(subset(order, size)["frame_id"])
        assert taken <= now
        taken = now
        if draw == "material":
            assert not {f"m{int(name[1:]) // 3}" for name in now} & set(
                train.loc[~train["frame_id"].isin(now), "material_id"]
            )


def test_units_have_the_mean_of_their_frames() -> None:
    features = np.array([[1.0, 0.0], [3.0, 0.0], [5.0, 1.0]])
    found = mean_by_unit(features, pd.Series(["a", "a", "b"], index=[9, 4, 1]))
    np.testing.assert_array_equal(found["a"], [2.0, 0.0])
    np.testing.assert_array_equal(found["b"], [5.0, 1.0])
