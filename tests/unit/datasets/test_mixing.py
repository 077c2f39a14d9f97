"""Training orders that mix sources: shares at every prefix, nesting, what is left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from uprung.datasets.mixing import mix_facts, mixed
from uprung.datasets.sizes import SizeError, resolve_sizes, subset
from uprung.datasets.splits import training_order


def table(**counts: int) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return training rows and the source of each frame, materials of four frames, one source each."""
    names = [(f"{source}{k}", source, f"m{source}{k // 4}") for source, count in counts.items() for k in range(count)]
    train = pd.DataFrame(names, columns=["frame_id", "source", "material_id"]).assign(row=range(len(names)))
    return train.drop(columns="source"), {name: source for name, source, _ in names}


def order_of(train: pd.DataFrame, draw: str = "frame") -> pd.DataFrame:
    return training_order(train, draw=draw, seed=0, key="k")  # type: ignore[arg-type]


@pytest.mark.parametrize("shares", [{"a": 1, "b": 1}, {"a": 9, "b": 1}, {"a": 0.2, "b": 0.5, "c": 0.3}])
def test_every_prefix_is_within_a_frame_of_the_shares_and_within_a_source_in_the_old_order(shares: dict) -> None:
    train, sources = table(a=300, b=200, c=100)
    order = order_of(train)
    found = mixed(order, sources, shares)
    total = sum(shares.values())
    for n in range(1, len(found) + 1):
        here = found["source"][:n].value_counts()
        for name, share in shares.items():
            assert abs(here.get(name, 0) - n * share / total) <= 1
    for name in shares:
        own = [frame for frame in order["frame_id"] if sources[frame] == name]
        mine = found.loc[found["source"] == name, "frame_id"].tolist()
        assert mine == own[: len(mine)]
    assert found["n_frames"].tolist() == list(range(1, len(found) + 1))
    assert found["unit_rank"].tolist() == list(range(len(found)))


def test_the_order_ends_with_the_first_source_and_the_manifest_counts_the_rest() -> None:
    train, sources = table(a=300, b=20, c=5)
    found = mixed(order_of(train), sources, {"a": 1, "b": 1})
    facts = mix_facts(found, train, sources, {"a": 1, "b": 1})
    assert facts["frames"]["b"] == 20
    assert facts["frames"]["a"] in (20, 21)
    assert facts["left_out"] == {"a": 300 - facts["frames"]["a"], "b": 0, "c": 5}
    with pytest.raises(SizeError, match="50 frames asked for, but the training split has 4"):
        subset(found, "50")
    assert len(mixed(order_of(train), sources, {"a": 1, "d": 1})) <= 1


def test_whole_units_are_taken_and_one_of_two_sources_is_two() -> None:
    train, sources = table(a=40, b=40)
    found = mixed(order_of(train, "material"), sources, {"a": 1, "b": 1})
    assert (np.bincount(found["unit_rank"]) == 4).all()
    assert found.groupby("unit_rank")["source"].nunique().eq(1).all()
    both = train.assign(material_id="one")
    halves = mixed(order_of(both, "material"), sources, {"a": 1, "b": 1})
    assert np.bincount(halves["unit_rank"]).tolist() == [40, 40]
    sizes = resolve_sizes({0: found}, ["8", "16"], dict.fromkeys(sources, frozenset({1})))
    assert sizes[["n_frames", "n_a", "n_b"]].to_numpy().tolist() == [[8, 4, 4], [16, 8, 8]]
