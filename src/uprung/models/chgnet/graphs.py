"""Neighbour graphs of crystals with angles, and batches of them.

An *atom graph* joins every pair of atoms (periodic images included) closer than the atom cutoff; a *bond graph*
joins its short edges (closer than the bond cutoff) that meet at an atom, i.e. its nodes are bonds and its edges
are angles (Deng et al., Nat. Mach. Intell. 5, 1031 (2023)). Edges are kept undirected, short ones first; a
directed short edge has the code ``2 u + direction``, direction 0 seen from atom i and 1 from atom j.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uprung.frames.crowding import crowding
from uprung.frames.limits import IMAGES
from uprung.models.ragged import ranges

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class IsolatedAtomError(ValueError):
    """A structure in which an atom has no neighbour within the atom cutoff."""


@dataclass(frozen=True)
class Graph:
    """Graph of one structure with U undirected edges and T angles.

    ``edge`` (U, 2) int32 holds the atoms (i, j) and ``image`` (U, 3) int8 the cell of j, so that the bond vector,
    centre minus neighbour, is ``x_i - (x_j + image @ lattice)``. The first ``n_short`` edges are shorter than
    the bond cutoff. ``angle`` (T, 2) int32 holds every ordered pair of distinct directed short edges with the
    same centre, as codes ``2 u + direction``, sorted by the first.
    """

    edge: NDArray[np.int32]
    image: NDArray[np.int8]
    n_short: int
    angle: NDArray[np.int32]


@dataclass(frozen=True)
class PackedArrays:
    """A batch of B structures as flat arrays: A atoms, U undirected edges, T angles.

    Short edges of all structures come first (``n_short`` of them), long ones after; inside either part the
    structures follow each other. ``numbers`` (A,), ``owner`` (A,) structure of an atom, ``n_atoms`` (B,),
    ``frac`` (A, 3), ``lattice`` (B, 3, 3) rows in Å, ``edge`` (U, 2) atoms in the batch, ``image`` (U, 3),
    ``edge_owner`` (U,). Angle arrays (T,): ``angle_centre`` atom, ``angle_first`` and ``angle_second`` short
    edges, ``sign_first`` and ``sign_second`` +1 where the edge's vector is seen from its atom i and -1 from j.
    """

    numbers: IntArray
    owner: IntArray
    n_atoms: IntArray
    frac: FloatArray
    lattice: FloatArray
    edge: IntArray
    image: IntArray
    edge_owner: IntArray
    n_short: int
    angle_centre: IntArray
    angle_first: IntArray
    angle_second: IntArray
    sign_first: NDArray[np.int8]
    sign_second: NDArray[np.int8]

    @property
    def short(self) -> IntArray:
        """Numbers of the short edges, (n_short,): by construction the first ones."""
        return np.arange(self.n_short)


def build_graph(frac: FloatArray, lattice: FloatArray, *, atom_cutoff: float = 6.0, bond_cutoff: float = 3.0) -> Graph:
    """Return the atom and bond graph of a fully periodic structure.

    Args:
        frac: fractional coordinates (N, 3), not necessarily in [0, 1).
        lattice: lattice vectors as rows (3, 3) in Å.
        atom_cutoff: length in Å below which a pair is an edge.
        bond_cutoff: length in Å below which an edge is a bond.

    Raises:
        IsolatedAtomError: an atom has no neighbour within `atom_cutoff`.
        ValueError: shapes or cutoffs are wrong, values are not finite, the cell has no volume, two atoms coincide, an
            image does not fit int8, or there are more pairs or angles than `uprung.frames.limits` allows.
    """
    frac = np.ascontiguousarray(frac, dtype=np.float64)
    lattice = np.ascontiguousarray(lattice, dtype=np.float64)
    _check_structure(frac, lattice, atom_cutoff, bond_cutoff)
    i, j, shift, distance = _half_neighbour_list(frac @ lattice, lattice, atom_cutoff)
    degree = np.bincount(i, minlength=len(frac)) + np.bincount(j, minlength=len(frac))
    if (degree == 0).any():
        isolated = np.flatnonzero(degree == 0)
        raise IsolatedAtomError(
            f"{len(isolated)} of {len(frac)} atoms have no neighbour within {atom_cutoff:g} Å "
            f"(first: atom {isolated[0]})"
        )
    if distance.min() < 1e-8:
        raise ValueError("two atoms are at the same place")
    if np.abs(shift).max() > IMAGES:
        raise ValueError(
            f"a periodic image is more than {IMAGES} cells away; wrap the fractional coordinates into [0, 1)"
        )
    is_long = distance >= bond_cutoff
    order = np.argsort(is_long * len(frac) + i, kind="stable")
    n_short = len(order) - int(np.count_nonzero(is_long))
    edge = np.stack([i[order], j[order]], axis=1).astype(np.int32)
    angle = _angles(edge[:n_short], len(frac))
    return Graph(edge=edge, image=shift[order].astype(np.int8), n_short=n_short, angle=angle)


def _check_structure(frac: FloatArray, lattice: FloatArray, atom_cutoff: float, bond_cutoff: float) -> None:
    if frac.ndim != 2 or frac.shape[1] != 3 or len(frac) == 0 or lattice.shape != (3, 3):
        raise ValueError(f"frac must be (N, 3) with N > 0 and lattice (3, 3), not {frac.shape} and {lattice.shape}")
    if not 0 < bond_cutoff <= atom_cutoff:
        raise ValueError(f"cutoffs must satisfy 0 < bond ({bond_cutoff}) <= atom ({atom_cutoff})")
    if not (np.isfinite(frac).all() and np.isfinite(lattice).all()):
        raise ValueError("coordinates and lattice must be finite numbers")
    if abs(np.linalg.det(lattice)) < 1e-6:
        raise ValueError("the lattice vectors span no volume")
    reason = crowding(frac, lattice, (atom_cutoff, bond_cutoff))
    if reason is not None:
        raise ValueError(reason)


def _half_neighbour_list(
    positions: FloatArray, lattice: FloatArray, cutoff: float
) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    # Imported here: vesin imports torch where it is installed, and readers of a store need neither.
    from vesin import NeighborList

    search = NeighborList(cutoff=cutoff, full_list=False, n_threads=1)
    pairs, shift, distance = search.compute(points=positions, box=lattice, periodic=True, quantities="PSd", copy=True)
    pairs = pairs.astype(np.int64)
    return pairs[:, 0], pairs[:, 1], shift, distance


def _angles(short: NDArray[np.int32], n_atoms: int) -> NDArray[np.int32]:
    """Ordered pairs of distinct directed edges with one centre, for short edges (n, 2), sorted by the first."""
    centre = short.reshape(-1)  # directed edge 2 u + d has centre short[u, d]
    by_centre = np.argsort(centre, kind="stable").astype(np.int32)
    degree = np.bincount(centre, minlength=n_atoms)
    start = np.cumsum(degree) - degree
    first = np.repeat(np.arange(len(centre), dtype=np.int32), degree[centre])
    second = by_centre[ranges(start[centre], degree[centre])]
    distinct = first != second
    return np.stack([first[distinct], second[distinct]], axis=1)
