"""Equal geometries among many: neighbours in a space of invariants, each held against the other exactly.

The invariants of a crystal are one number per site, a sum over its neighbours that is smooth and goes to zero at a
cutoff, in rising order within each species. They do not depend on how the crystal is written, and they move by no more
than a known multiple of the displacements, so that no equal geometry is farther away in that space than a radius.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uprung.job.logs import LINES, progress
from uprung.structures.identity import Crystals, Geometries, align, unturned
from uprung.structures.lattices import Floats, Ints

#: Cutoff of the invariants in units of the cube root of the volume per atom: eleven neighbours on average.
REACH = 1.4
#: Numbers per crystal that are searched; more sites are summed in blocks.
BLOCKS = 12
ROUNDING = 1e-9  # of the invariants
CHUNK = 5_000  # crystals of one composition that are looked up at a time
SITES = 5_000  # whose neighbours are held at a time, but those of one crystal at least
#: Weight of each element as a neighbour, from 0.5 to 1.5, so that exchanged species show.
_WEIGHT = 0.5 + np.arange(95) * 0.6180339887 % 1


@dataclass(frozen=True)
class Twins:
    """Frames of equal geometry.

    `first` and `second` (p,) of each pair, `rmsd` (p,) between them, Å, and whether a rotation or reflection is,
    `turned` (p,). Frames whose geometry is the same to the last bit are one: `copy_of` (n,) names the first of them,
    and pairs are between first ones.
    """

    first: Ints
    second: Ints
    rmsd: Floats
    turned: NDArray[np.bool_]
    copy_of: Ints

    def classes(self, *, turned: bool = True) -> Ints:
        """Return a number (n,) that frames share if a chain of equal geometries leads from one to the other.

        Args:
            turned: whether rotations and reflections of a crystal are equal to it.
        """
        n, some = len(self.copy_of), np.flatnonzero(~self.turned | turned)
        rows, columns = np.append(self.first[some], np.arange(n)), np.append(self.second[some], self.copy_of)
        from scipy.sparse import coo_matrix  # imported here, since readers of a split look for no twins
        from scipy.sparse.csgraph import connected_components

        graph = coo_matrix((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(n, n))
        return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def find_twins(crystals: Crystals, tolerance: float, split_at: int | None = None) -> Twins:
    """Find the frames of equal geometry.

    Args:
        crystals: all frames.
        tolerance: largest root-mean-square displacement over sites and cell vectors, Å, after a rigid motion.
        split_at: look for pairs of a frame before this number and one from it on, and for all of those; None: for
            pairs that join all equal frames, directly or through others.
    """
    copy_of = np.arange(len(crystals))
    pairs, facts = [np.zeros((0, 2), dtype=np.int64)], [np.zeros((0, 2))]
    with progress(len(crystals), "comparing geometries", "frame", every=LINES) as bar:
        for rows in crystals.compositions():
            end = bar.done + len(rows)
            for own_pairs, own_facts in _among(crystals, rows, copy_of, tolerance, split_at, bar.update):
                pairs.append(own_pairs)
                facts.append(own_facts)
            bar.update(end - bar.done)
    (first, second), (rmsd, turned) = np.concatenate(pairs).T, np.concatenate(facts).T
    return Twins(first, second, rmsd, turned > 0, copy_of)


def _among(
    crystals: Crystals, rows: Ints, copy_of: Ints, tolerance: float, split_at: int | None, tell: Callable[[int], None]
) -> Iterator[tuple[Ints, Floats]]:
    """Yield pairs (p, 2) of equal frames of one composition and their facts (p, 2), and note which are copies.

    Of a large composition `tell` is told the numbers of frames that are done.
    """
    if len(rows) < 2 or (split_at is not None and (rows[0] >= split_at or rows[-1] < split_at)):
        return
    geometries = crystals.geometries(rows)
    own = _first_copies(geometries)
    copy_of[rows] = rows[own]
    kept = np.flatnonzero(own == np.arange(len(own)))
    if len(kept) < 2:
        return
    sides = None
    if split_at is not None:
        sides = [np.isin(kept, own[part]) for part in (rows < split_at, rows >= split_at)]
    for pairs, facts in _equal(geometries.take(kept), tolerance, sides, tell):
        yield rows[kept[pairs]], facts


def _first_copies(geometries: Geometries) -> Ints:
    """Return the first crystal (n,) that is the same to the last bit."""
    seen, first = dict[bytes, int](), np.arange(len(geometries))
    for k in range(len(geometries)):
        key = geometries.lattice[k].tobytes() + geometries.frac[k].tobytes()
        first[k] = seen.setdefault(key, k)
    return first


def _equal(
    geometries: Geometries, tolerance: float, sides: list[NDArray[np.bool_]] | None, tell: Callable[[int], None]
) -> Iterator[tuple[Ints, Floats]]:
    """Yield pairs (p, 2) of equal crystals, one of either side; displacement, and whether one is turned (p, 2)."""
    invariants, leader = Invariants(geometries, tolerance, tell), list(range(len(geometries)))
    for pairs in invariants.near():
        if sides is not None:
            (low_i, low_j), (high_i, high_j) = (side[pairs].T for side in sides)
            pairs = pairs[(low_i & high_j) | (high_i & low_j)]
        rmsd, turned = unturned(geometries, *pairs.T), np.zeros(len(pairs))
        for p, (i, j) in enumerate(pairs.tolist()):
            if rmsd[p] > tolerance:
                joined = sides is None and _root(leader, i) == _root(leader, j)
                alike = not joined and invariants.alike(i, j)
                found = align(geometries, i, j, tolerance, invariants.sites_alike(i, j)) if alike else None
                rmsd[p] = np.inf if found is None else found.rmsd
                turned[p] = found is not None and bool((found.rotation != np.eye(3)).any())
            if rmsd[p] <= tolerance and not turned[p]:
                leader[_root(leader, j)] = _root(leader, i)
        same = rmsd <= tolerance
        yield pairs[same], np.column_stack([rmsd, turned])[same]


def _root(leader: list[int], k: int) -> int:
    """Return the crystal that leads the group of crystal k, whose way to it gets shorter."""
    while leader[k] != k:
        leader[k] = k = leader[leader[k]]
    return k


class Invariants:
    """Invariants of crystals of one composition, and how far those of equal crystals can be from each other."""

    def __init__(self, geometries: Geometries, tolerance: float, tell: Callable[[int], None]) -> None:
        """Compute them and tell how many are done; `tolerance` is the displacement of an equal crystal, Å."""
        n, n_sites = len(geometries), len(geometries.numbers)
        volume = np.abs(np.linalg.det(geometries.lattice)) / n_sites
        cutoffs = REACH * np.cbrt(volume)
        self.sites, slopes = np.zeros((n, n_sites)), np.zeros((n, 3))
        for part in np.array_split(np.arange(n), min(n, 1 + n * n_sites // SITES)):
            self.sites[part], slopes[part] = _environments(geometries.take(part), cutoffs[part])
            tell(len(part))
        species = np.broadcast_to(geometries.numbers, self.sites.shape)
        self.sorted = np.take_along_axis(self.sites, np.lexsort((self.sites, species), axis=1), axis=1)
        moved = geometries.budget(tolerance) / cutoffs
        strain = geometries.budget(tolerance) * np.linalg.norm(np.linalg.inv(geometries.lattice), axis=(1, 2), ord=2)
        by_sites, by_strain, weight = slopes.T
        # first order, and a bound of the second: |f''| is at most 8, and f'/x at most 4
        second = 24 * weight * (moved**2 + np.sqrt(n_sites) * strain**2)
        self.radius = np.hypot(by_sites * moved, by_strain * strain) + second + ROUNDING
        self.log_volume, self.log_volume_radius = np.log(volume), np.sqrt(3) * strain

    def near(self) -> Iterator[Ints]:
        """Yield pairs (p, 2) of crystals, the second later than the first, that may be equal."""
        scale = self.radius.min() / self.log_volume_radius.max()
        edges = np.linspace(0, self.sorted.shape[1], min(BLOCKS, self.sorted.shape[1]) + 1).astype(np.int64)
        blocks = np.add.reduceat(self.sorted, edges[:-1], axis=1) / np.sqrt(np.diff(edges))
        points = np.column_stack([blocks, self.log_volume * scale])
        # both coordinates may be off at once
        from scipy.spatial import cKDTree

        tree, radius = cKDTree(points), self.radius * np.sqrt(2)
        for start in range(0, len(points), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(points)))
            found = tree.query_ball_point(points[rows], radius[rows])
            i = np.repeat(rows, [len(near) for near in found])
            j = np.concatenate([*found, []]).astype(np.int64)
            keep = (j > i) & (np.abs(self.log_volume[i] - self.log_volume[j]) <= self.log_volume_radius[i])
            pairs = np.column_stack([i[keep], j[keep]])
            yield from np.array_split(pairs, 1 + pairs.size * self.sites.shape[1] // 2_000_000)

    def alike(self, i: int, j: int) -> bool:
        """Return whether all invariants of two crystals agree."""
        return bool(np.linalg.norm(self.sorted[i] - self.sorted[j]) <= self.radius[i])

    def sites_alike(self, i: int, j: int) -> NDArray[np.bool_]:
        """Return which sites of crystal i may be which of crystal j, (N, N)."""
        return np.asarray(np.abs(self.sites[i][:, None] - self.sites[j][None, :]) <= self.radius[i])


def _environments(geometries: Geometries, cutoffs: Floats) -> tuple[Floats, Floats]:
    """Return the invariants of the sites of crystals of one composition, (n, N), and how fast they change.

    A neighbour at x times the cutoff counts f(x) = (1 − x²)², times its element's weight; the cutoff follows the
    volume.

    Returns:
        The invariants, (n, N); and (n, 3) bounds of the norm of their derivatives by the positions, in units of the
        cutoff, and by the strain, and of the weights that one site sees.
    """
    n, n_sites = len(geometries), len(geometries.numbers)
    shape = (n, n_sites)
    crystal, first, second, d, unit = _neighbours(geometries, cutoffs)
    site, x, weight = crystal * n_sites + first, d / cutoffs[crystal], _WEIGHT[geometries.numbers[second]]
    inside = 1 - x * x
    slope = -4 * weight * x * inside
    by_strain = np.zeros(n)
    for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)):
        strain = _sums(site, slope * x * (unit[:, a] * unit[:, b] - (a == b) / 3), shape)
        by_strain += (1 if a == b else 2) * (strain**2).sum(axis=1)
    # images of a neighbour move together, and an atom's own images with it
    other = first != second
    pairs, pair = np.unique(site[other] * n_sites + second[other], return_inverse=True)
    pull = np.column_stack([np.bincount(pair, slope[other] * unit[other, k], len(pairs)) for k in range(3)])
    left = pairs // n_sites
    right = left // n_sites * n_sites + pairs % n_sites
    own = np.sqrt(np.sum([_sums(left, pull[:, k], shape) ** 2 for k in range(3)], axis=0))
    size = np.sqrt((pull**2).sum(axis=1))
    rows, columns = (_sums(index, size, shape).max(axis=1) for index in (left, right))
    seen = _sums(site, weight, shape).max(axis=1)
    bounds = np.column_stack([own.max(axis=1) + np.sqrt(rows * columns), np.sqrt(by_strain), seen])
    return _sums(site, weight * inside**2, shape), bounds


def _neighbours(geometries: Geometries, cutoffs: Floats) -> tuple[Ints, Ints, Ints, Floats, Floats]:
    """Return all neighbours within the cutoffs of crystals: crystal, site, other site, distance, direction (., 3)."""
    from vesin import NeighborList  # imports torch where it is installed

    found = []
    for lattice, frac, cutoff in zip(geometries.lattice, geometries.frac, cutoffs.tolist(), strict=True):
        search = NeighborList(cutoff=cutoff, full_list=True, n_threads=1)
        found.append(search.compute(points=frac @ lattice, box=lattice, periodic=True, quantities="ijdD"))
    first, second, d, vectors = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    crystal = np.repeat(np.arange(len(found)), [len(i) for i, *_ in found])
    unit = vectors / np.maximum(d, 1e-12)[:, None]  # atoms in one place have no direction
    return crystal, first.astype(np.int64), second.astype(np.int64), d, unit


def _sums(index: Ints, values: NDArray[Any], shape: tuple[int, int]) -> Floats:
    """Return sums of values by index, in some shape."""
    return np.bincount(index, values, shape[0] * shape[1]).astype(np.float64).reshape(shape)
