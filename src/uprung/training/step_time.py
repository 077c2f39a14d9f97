"""How long an optimiser step takes on this machine, measured on some structures of a study."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from uprung.frames.table import Frames
from uprung.models.data import dataset_of
from uprung.models.registry import load


def seconds_per_step(frames: Frames, *, checkpoint: str, targets: Sequence[str]) -> float:
    """Return the seconds of one forward and backward pass; graphs, which are computed once, do not count.

    Args:
        frames: as many as a batch has, or fewer; a batch of one size takes that size's share of the time.
        checkpoint: the network.
        targets: what is in the loss.
    """
    network = load(checkpoint)
    dataset = dataset_of(frames, frames.label("energy"), name=network.card.name)
    rows, found = np.arange(len(frames)), list[float]()
    for _ in range(2):  # the first one warms up
        begin = time.perf_counter()
        network.train()
        for chunk in dataset.chunks(rows, network.trained_at_once["cpu"]):
            values = network(network.batch(dataset.inputs, chunk), targets)
            loss = values["energy"].square().sum()
            for name in targets:
                loss = loss + values[name].square().sum()
            loss.backward()
        network.zero_grad()
        found.append(time.perf_counter() - begin)
    return found[-1]
