"""Batches of a few fixed sizes, filled up with ghosts that change no number of a real structure.

A captured CUDA graph computes tensors of one shape. So a batch is filled up to the size of a class, and a ghost
structure owns what is added: ghost atoms, edges longer than the cutoff between ghost atoms, and right angles between
them. Predictions of real structures come first, in their order; a loss that leaves out those of ghosts has the
gradient of the batch as it was, since a ghost shares no atom, edge or angle with a real structure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uprung.models.chgnet.batch import PackedBatch
from uprung.models.chgnet.store import Graphs

FAR = 7.0  # Å, beyond the cutoff of 6 Å, so that messages along ghost edges are zero


class Sizes(NamedTuple):
    """What a batch has: structures, atoms, short and long undirected edges, angles."""

    structures: int
    atoms: int
    short: int
    long: int
    angles: int


#: What is added at least: a structure that owns an atom and two short edges, between which ghost angles lie.
GHOSTS = Sizes(1, 1, 2, 0, 0)


def sizes_of(batch: PackedBatch) -> Sizes:
    """Return the sizes of a batch; they are shapes of tensors, so that no device is asked."""
    n_short, n_edges = batch.n_short, len(batch.vector)
    return Sizes(len(batch.n_atoms), len(batch.numbers), n_short, n_edges - n_short, len(batch.angle_first))


def sizes_at(graphs: Graphs, rows: NDArray[np.int64]) -> Sizes:
    """Return the sizes of a batch of some structures without making it."""
    n_short = graphs.n_short[rows]
    counts = graphs.n_atoms[rows], n_short, graphs.n_edges[rows] - n_short, graphs.n_angles[rows]
    return Sizes(len(rows), *(int(count.sum()) for count in counts))


def covering(batches: Iterable[Sizes]) -> Sizes:
    """Return the smallest sizes that any of these batches can be filled up to."""
    largest = Sizes(*(max(values) for values in zip(*batches, strict=True)))
    return Sizes(*(size + ghosts for size, ghosts in zip(largest, GHOSTS, strict=True)))


def size_classes(batches: Sequence[Sizes], count: int) -> list[Sizes]:
    """Return sizes to which batches are filled up, so that little is added.

    Args:
        batches: sizes of the batches of a run or of an epoch.
        count: how many classes at most, for batches with angles.

    Returns:
        Classes, the smallest first. Those with angles grow in every size, so that a batch fits into all after the first
        that it fits into. Batches without an angle have a class of their own, because a step on them leaves the weights
        of the angles alone, moments of the optimiser included.

    Raises:
        ValueError: no batch, or less than one class.
    """
    if not batches or count < 1:
        raise ValueError(f"classes need batches and at least one class, not {len(batches)} and {count}")
    classes = [covering(bare)] if (bare := [each for each in batches if not each.angles]) else []
    angled = sorted((each for each in batches if each.angles), key=lambda each: each.short + each.long + each.angles)
    groups = min(count, len(angled))
    ends = [len(angled) * (k + 1) // groups for k in range(groups)]
    # up to the end of each group, not of the group alone: a batch of few edges may have the most atoms
    return list(dict.fromkeys([*classes, *(covering(angled[:end]) for end in ends)]))


def fitting(sizes: Sizes, classes: Iterable[Sizes]) -> Sizes | None:
    """Return the first class that a batch can be filled up to; None where it is larger than all."""
    for each in classes:
        room = all(size + ghosts <= most for size, ghosts, most in zip(sizes, GHOSTS, each, strict=True))
        if room and bool(sizes.angles) == bool(each.angles):
            return each
    return None


def padded(batch: PackedBatch, sizes: Sizes) -> PackedBatch:
    """Return a batch filled up with ghosts, on its device and without asking it for anything.

    Args:
        batch: the real structures.
        sizes: of the result; see `fitting`.

    Returns:
        Real structures and atoms are the first ones.

    Raises:
        ValueError: the batch and its ghosts do not fit.
    """
    have = sizes_of(batch)
    if fitting(have, [sizes]) is None:
        raise ValueError(f"a batch of {have} and its ghosts do not fit into {sizes}")
    more = Sizes(*(size - known for size, known in zip(sizes, have, strict=True)))
    atom, structure, n = have.atoms, sizes.structures - 1, len(batch.vector)
    far_short, far_long = (_far(batch.vector, count) for count in (more.short, more.long))
    first, second = (_edges(batch, ends[:n], atom, more) for ends in (batch.centre, batch.neighbour))
    return PackedBatch(
        numbers=_filled(batch.numbers, more.atoms, 1),
        owner=_filled(batch.owner, more.atoms, structure),
        n_atoms=_filled(batch.n_atoms, more.structures, 1),
        volume=_filled(batch.volume, more.structures, 1.0),
        vector=torch.cat([batch.vector[: have.short], far_short, batch.vector[have.short :], far_long]),
        edge_owner=_edges(batch, batch.edge_owner, structure, more),
        centre=torch.cat([first, second]),
        neighbour=torch.cat([second, first]),
        n_short=sizes.short,
        angle_centre=_filled(batch.angle_centre, more.angles, atom),
        angle_first=_filled(batch.angle_first, more.angles, have.short),
        angle_second=_filled(batch.angle_second, more.angles, have.short + 1),
        angle_sign=_filled(batch.angle_sign, more.angles, 1.0),
    )


def _filled(values: Tensor, count: int, value: float) -> Tensor:
    return torch.cat([values, values.new_full((count,), value)])


def _edges(batch: PackedBatch, values: Tensor, value: int, more: Sizes) -> Tensor:
    """Values of the undirected edges with those of ghosts after the short ones and after the long ones."""
    short = _filled(values[: batch.n_short], more.short, value)
    return torch.cat([short, _filled(values[batch.n_short :], more.long, value)])


def _far(vector: Tensor, count: int) -> Tensor:
    """Ghost edges (count, 3): all along x but the second, which is along y."""
    far = vector.new_zeros((count, 3))
    far[:, 0].fill_(FAR)
    far[1:2, 0].fill_(0.0)
    far[1:2, 1].fill_(FAR)
    return far
