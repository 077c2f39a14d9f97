"""Training-set sizes, on orders of materials with a few frames each."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uprung.datasets.sizes import SizeError, resolve_sizes, subset
from uprung.datasets.splits import training_order


def training_rows(sizes: list[int]) -> pd.DataFrame:
    """Return training rows of materials with so many frames each."""
    rows = [(f"mp-{m}", f"mp-{m}/{k}") for m, count in enumerate(sizes) for k in range(count)]
    table = pd.DataFrame(rows, columns=["material_id", "frame_id"])
    return table.assign(group=table["material_id"], row=np.arange(len(table)))


counts = st.lists(st.integers(1, 6), min_size=1, max_size=30)


@settings(deadline=None)
@given(sizes=counts, draw=st.sampled_from(["material", "frame"]), seed=st.integers(0, 5), shuffle=st.integers(0, 5))
def test_subsets_are_nested_shortest_prefixes_of_whole_units(sizes, draw, seed, shuffle) -> None:
    train = training_rows(sizes)
    order = training_order(train.sample(frac=1, random_state=shuffle), draw=draw, seed=seed, key="k")
    assert sorted(order["frame_id"]) == sorted(train["frame_id"])
    unit = "material_id" if draw == "material" else "frame_id"
    chosen = [subset(order, str(n)) for n in range(1, len(train) + 1)]
    for n, part in enumerate(chosen, start=1):
        assert part["frame_id"].tolist() == order["frame_id"].tolist()[: len(part)]
        assert not set(part[unit]) & set(order["frame_id" if unit == "frame_id" else unit][len(part) :])
        last = part[unit].iloc[-1]
        assert len(part) - (part[unit] == last).sum() < n <= len(part)  # one unit less would not reach it
    for a, b in itertools.pairwise(chosen):
        assert set(a["frame_id"]) <= set(b["frame_id"])
    if draw == "frame":
        assert [len(part) for part in chosen] == list(range(1, len(train) + 1))
    assert subset(order, "all")["frame_id"].tolist() == order["frame_id"].tolist()


@settings(deadline=None)
@given(sizes=counts, more=counts, seed=st.integers(0, 3))
def test_new_materials_enter_an_order_without_moving_the_others(sizes, more, seed) -> None:
    before = training_order(training_rows(sizes), draw="material", seed=seed, key="k")
    after = training_order(training_rows(sizes + more), draw="material", seed=seed, key="k")
    kept = after[after["material_id"].isin(before["material_id"])]
    assert kept["frame_id"].tolist() == before["frame_id"].tolist()


def test_seeds_and_keys_are_other_orders() -> None:
    train = training_rows([1] * 40)
    orders = {
        tuple(training_order(train, draw="material", seed=seed, key=key)["frame_id"])
        for seed, key in [(0, "k"), (1, "k"), (2, "k"), (0, "other")]
    }
    assert len(orders) == 4


def test_shares_of_the_training_materials() -> None:
    order = training_order(training_rows([2] * 200), draw="material", seed=0, key="k")
    found = {size: subset(order, size)["material_id"].nunique() for size in ("0.1%", "1%", "1.1%", "50%", "100%")}
    assert found == {"0.1%": 1, "1%": 2, "1.1%": 3, "50%": 100, "100%": 200}
    assert len(subset(order, "1%")) == 4


def test_a_size_beyond_the_data_names_what_there_is() -> None:
    order = training_order(training_rows([2, 3]), draw="material", seed=0, key="k")
    assert len(subset(order, "5")) == 5
    with pytest.raises(SizeError, match=r"sizes: 6 frames asked for, but the training split has 5 \(largest: 'all'\)"):
        subset(order, "6")
    with pytest.raises(SizeError, match=r"101%"):
        subset(order, "101%")
    elements = {name: frozenset({1}) for name in order["frame_id"]}
    with pytest.raises(SizeError, match="6 frames asked for"):
        resolve_sizes({0: order}, ["2", "6"], elements)


def test_resolved_sizes_count_frames_units_materials_and_elements() -> None:
    orders = {s: training_order(training_rows([2] * 10), draw="material", seed=s, key="k") for s in (0, 1)}
    elements = {f"mp-{m}/{k}": frozenset({8, m + 20}) for m in range(10) for k in range(2)}
    table = resolve_sizes(orders, ["3", "10", "all"], elements)
    assert table["seed"].tolist() == [0, 0, 0, 1, 1, 1]
    assert table["n_frames"].tolist() == [4, 10, 20] * 2
    assert table["n_units"].tolist() == table["n_materials"].tolist() == [2, 5, 10] * 2
    assert table["n_elements"].tolist() == [3, 6, 11] * 2


@pytest.mark.parametrize("sizes", [["3", "4"], ["20", "all"], ["100%", "all"], ["10%", "2"]])
def test_two_sizes_with_the_same_frames_are_refused(sizes: list[str]) -> None:
    order = training_order(training_rows([2] * 10), draw="material", seed=0, key="k")
    elements = {name: frozenset({1}) for name in order["frame_id"]}
    with pytest.raises(SizeError, match=f"sizes: {sizes[0]} and {sizes[1]} are the same"):
        resolve_sizes({0: order}, sizes, elements)


def test_drawing_frames_cuts_through_materials_even_when_the_split_does_not() -> None:
    order = training_order(training_rows([50, 50]), draw="frame", seed=0, key="k")
    assert len(subset(order, "10")) == 10
    assert subset(order, "10")["material_id"].nunique() == 2
