"""Order in which nested subsets take training units: random, stratified by chemical system, or diverse.

Each function gives every unit a place; units sorted by place are the order of a seed, and subsets are its prefixes. So
they are nested, whatever the sampling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uprung.datasets.splits import elements_of, hash_unit, unit_names
from uprung.frames.table import Frames

Places = dict[str, float]

CLUSTERS = 1000  # at most; the first so many units come from as many regions of the feature space
VARIANCE = 0.95  # of the features that the principal components keep
_CENTRES = np.arange(1.0, 6.0, 0.25)  # Å, of the radial distribution
_WIDTH = 0.25  # Å


def places_of(
    sampling: Literal["stratified", "diverse"],
    frames: Frames,
    train: pd.DataFrame,
    *,
    draw: Literal["material", "frame"],
    seed: int,
    key: str,
) -> Places:
    """Return the place of every training unit.

    Args:
        sampling: how.
        frames: table of the fidelity.
        train: its training rows of the split table.
        draw: unit that is drawn as a whole.
        seed: another seed is another order.
        key: key of the split.
    """
    units = unit_names(train, draw)
    own = frames.take(train["row"].to_numpy())
    if sampling == "diverse":
        return diverse_places(mean_by_unit(structure_features(own), units), seed=seed)
    systems = ["-".join(map(str, sorted(found))) for found in elements_of(own)]
    return stratified_places(dict(zip(units, systems, strict=True)), key=f"{key}/order/{seed}")


def random_places(units: Sequence[str], *, key: str) -> Places:
    """Return places that are a hash of name and key: a new unit enters without moving others."""
    return {name: hash_unit(name, key) for name in units}


def stratified_places(strata: Mapping[str, str], *, key: str) -> Places:
    """Return places with which every prefix holds the strata in proportion to their units (systematic sampling).

    Args:
        strata: unit -> stratum, for example its chemical system.
        key: of the hash that decides within a stratum, and where its units lie.
    """
    members: dict[str, list[str]] = {}
    for name, stratum in strata.items():
        members.setdefault(stratum, []).append(name)
    places = Places()
    for stratum, names in members.items():
        start = hash_unit(stratum, key)  # the same for all units of a stratum, so that they lie evenly
        ordered = sorted(names, key=partial(hash_unit, key=key))
        places |= {name: (rank + start) / len(names) for rank, name in enumerate(ordered)}
    return places


def diverse_places(features: Mapping[str, NDArray[np.float64]], *, seed: int) -> Places:
    """Return places with which every prefix is spread over the feature space.

    Principal components, k-means clusters, and from each cluster the units nearest to its centre first, as in DIRECT
    sampling (Qi et al., npj Comput. Mater. 10, 43 (2024)). There the number of clusters follows from the size of the
    sample; here clusters take turns, each next one the farthest from those before it, so that all sizes are prefixes
    of one order.

    Args:
        features: unit -> vector.
        seed: of the clusters.
    """
    names = sorted(features)
    X = np.stack([features[name] for name in names])
    spread = X.std(axis=0)
    X = (X - X.mean(axis=0))[:, spread > 0]
    if len(names) < 3 or not X.shape[1]:
        return random_places(names, key=f"diverse/{seed}")
    from sklearn.cluster import MiniBatchKMeans  # a second, which only `sampling: diverse` needs
    from sklearn.decomposition import PCA

    X = PCA(n_components=VARIANCE, svd_solver="full", random_state=seed).fit_transform(X)
    count = min(CLUSTERS, len(names))
    clusters = MiniBatchKMeans(count, random_state=seed, n_init=1, batch_size=4096).fit(X)
    turn = _farthest_first(clusters.cluster_centers_, np.unique(clusters.labels_), seed)
    distance = np.linalg.norm(X - clusters.cluster_centers_[clusters.labels_], axis=1)
    places = Places()
    for cluster, position in turn.items():
        inside = np.flatnonzero(clusters.labels_ == cluster)
        for rank, k in enumerate(inside[np.argsort(distance[inside], kind="stable")]):
            places[names[k]] = rank + position / (len(turn) + 1)
    return places


def _farthest_first(centres: NDArray[np.float64], used: NDArray[np.int64], seed: int) -> dict[int, int]:
    """Return cluster -> position in an order in which each is the farthest from all before it."""
    first = int(used[np.random.default_rng(seed).integers(len(used))])
    turn, gap = {first: 0}, np.linalg.norm(centres[used] - centres[first], axis=1)
    while len(turn) < len(used):
        gap[[int(c) in turn for c in used]] = -1.0
        following = int(used[gap.argmax()])
        turn[following] = len(turn)
        gap = np.minimum(gap, np.linalg.norm(centres[used] - centres[following], axis=1))
    return turn


def structure_features(frames: Frames) -> NDArray[np.float64]:
    """Return composition fractions and a smooth radial distribution of every structure, (n, 94 + shells).

    The radial part is the logarithm of one plus the number of neighbours of an atom in shells up to 6 Å, mean over
    atoms.
    """
    X = frames.composition()
    lattices = frames.flat("lattice").reshape(-1, 3, 3)
    fractions = np.split(frames.flat("frac", 3).reshape(-1, 3), frames.offsets[1:-1])
    from vesin import NeighborList  # imports torch where it is installed

    search = NeighborList(cutoff=float(_CENTRES[-1]), full_list=True)
    shells = np.zeros((len(X), len(_CENTRES)))
    for k, (lattice, frac) in enumerate(zip(lattices, fractions, strict=True)):
        (distance,) = search.compute(points=frac @ lattice, box=lattice, periodic=True, quantities="d")
        near = np.exp(-0.5 * ((np.asarray(distance)[:, None] - _CENTRES) / _WIDTH) ** 2)
        shells[k] = np.log1p(near.sum(axis=0) / len(frac))
    return np.hstack([X, shells / np.sqrt(len(_CENTRES))])


def mean_by_unit(features: NDArray[np.float64], units: pd.Series) -> dict[str, NDArray[np.float64]]:
    """Return unit -> mean feature vector of its frames."""
    rows = pd.Series(range(len(units))).groupby(units.to_numpy()).indices
    return {str(name): features[where].mean(axis=0) for name, where in rows.items()}
