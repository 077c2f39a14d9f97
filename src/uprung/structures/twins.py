"""Equal geometries among many: neighbours in a space of invariants, each held against the other exactly.

The invariants of a crystal are one number per site, a sum over its neighbours that is smooth and goes to zero at a
cutoff, in rising order within each species. They do not depend on how the crystal is written, and they move by no more
than a known multiple of the displacements, so that no equal geometry is farther away in that space than a radius.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uprung.structures.identity import Crystals, Geometries, align, unturned
from uprung.structures.lattices import Floats, Ints

#: Cutoff of the invariants in units of the cube root of the volume per atom: eleven neighbours on average.
REACH = 1.4
#: Numbers per crystal that are searched; more sites are summed in blocks.
BLOCKS = 12
ROUNDING = 1e-9  # of the invariants
CHUNK = 5_000  # crystals of one composition that are looked up at a time
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
    for rows in crystals.compositions():
        if len(rows) < 2 or (split_at is not None and (rows[0] >= split_at or rows[-1] < split_at)):
            continue
        geometries = crystals.geometries(rows)
        own = _first_copies(geometries)
        copy_of[rows] = rows[own]
        kept = np.flatnonzero(own == np.arange(len(own)))
        if len(kept) < 2:
            continue
        sides = None
        if split_at is not None:
            sides = [np.isin(kept, own[part]) for part in (rows < split_at, rows >= split_at)]
        for own_pairs, own_facts in _equal(geometries.take(kept), tolerance, sides):
            pairs.append(rows[kept[own_pairs]])
            facts.append(own_facts)
    (first, second), (rmsd, turned) = np.concatenate(pairs).T, np.concatenate(facts).T
    return Twins(first, second, rmsd, turned > 0, copy_of)


def _first_copies(geometries: Geometries) -> Ints:
    """Return the first crystal (n,) that is the same to the last bit."""
    seen, first = dict[bytes, int](), np.arange(len(geometries))
    for k in range(len(geometries)):
        key = geometries.lattice[k].tobytes() + geometries.frac[k].tobytes()
        first[k] = seen.setdefault(key, k)
    return first


def _equal(
    geometries: Geometries, tolerance: float, sides: list[NDArray[np.bool_]] | None
) -> Iterator[tuple[Ints, Floats]]:
    """Yield pairs (p, 2) of equal crystals, one of either side; displacement, and whether one is turned (p, 2)."""
    invariants, leader = Invariants(geometries, tolerance), list(range(len(geometries)))
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

    def __init__(self, geometries: Geometries, tolerance: float) -> None:
        """Compute them; `tolerance` is the displacement of an equal crystal, Å."""
        n, n_sites = len(geometries), len(geometries.numbers)
        volume = np.abs(np.linalg.det(geometries.lattice)) / n_sites
        cutoffs = REACH * np.cbrt(volume)
        self.sites, slopes = np.zeros((n, n_sites)), np.zeros((n, 3))
        for k in range(n):
            self.sites[k], slopes[k] = _environments(
                geometries.numbers, geometries.frac[k], geometries.lattice[k], float(cutoffs[k])
            )
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


def _environments(
    numbers: Ints, frac: Floats, lattice: Floats, cutoff: float
) -> tuple[Floats, tuple[float, float, float]]:
    """Return the invariants of the sites, (N,), and how fast they change.

    A neighbour at x times the cutoff counts f(x) = (1 − x²)², times its element's weight; the cutoff follows the
    volume.

    Returns:
        The invariants, (N,), and bounds of the norm of their derivatives by the positions, in units of the cutoff, and
        by the strain, and of the weights that one site sees.
    """
    n = len(numbers)
    from vesin import NeighborList  # imports torch where it is installed

    search = NeighborList(cutoff=cutoff, full_list=True, n_threads=1)
    i, j, d, vectors = search.compute(points=frac @ lattice, box=lattice, periodic=True, quantities="ijdD")
    x, weight = d / cutoff, _WEIGHT[numbers[j]]
    inside = 1 - x * x
    slope = -4 * weight * x * inside
    unit = vectors / np.maximum(d, 1e-12)[:, None]  # atoms in one place have no direction
    strain = (slope * x)[:, None, None] * (unit[:, :, None] * unit[:, None, :] - np.eye(3) / 3)
    by_strain = np.zeros((n, 3, 3))
    np.add.at(by_strain, i, strain)
    # images of a neighbour move together, and an atom's own images with it
    other = i != j
    pairs, pair = np.unique(i[other] * n + j[other], return_inverse=True)
    pull = np.zeros((len(pairs), 3))
    np.add.at(pull, pair, slope[other, None] * unit[other])
    own = np.zeros((n, 3))
    np.add.at(own, pairs // n, pull)
    size = np.linalg.norm(pull, axis=1)
    rows, columns = (np.bincount(index, size, minlength=n).max() for index in (pairs // n, pairs % n))
    by_sites = float(np.linalg.norm(own, axis=1).max() + np.sqrt(rows * columns))
    seen = float(np.bincount(i, weight, minlength=n).max())
    values = np.bincount(i, weight * inside**2, minlength=n).astype(np.float64)
    return values, (by_sites, float(np.linalg.norm(by_strain)), seen)
