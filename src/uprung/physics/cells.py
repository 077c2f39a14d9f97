"""Cells of 1 to 8 atoms whose own labels give properties of crystals at several functionals (data/physics/own).

Every cell is fixed by this file: crystals at a stated lattice constant, slabs, vacancies and mixtures cut from them,
atoms on ideal sites. No functional and no network relaxes them, so that all sides speak of the same atoms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations, product

import ase
import numpy as np
from ase.build import bulk, make_supercell
from ase.geometry.minkowski_reduction import minkowski_reduce
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

from uprung.dft.labels import Scheme
from uprung.dft.structures import Structure, grid
from uprung.frames.schema import Floats

Ints = NDArray[np.int64]
#: Scales of lengths of an equation of state; component and amount of the strains of elastic constants.
SCALES = (0.97, 0.98, 0.99, 1.0, 1.01, 1.02, 1.03)
STRAINS = (("xx", 0.01), ("xx", -0.01), ("xy", 0.01))
#: Of frozen phonons, Å.
DISPLACEMENT = 0.02
#: Supercells of primitive cells: the cubic cell of a face-centred lattice, and twice as long.
CUBE = ((-1, 1, 1), (1, -1, 1), (1, 1, -1))
TWICE = ((2, 0, 0), (0, 2, 0), (0, 0, 2))
#: Face of a face-centred lattice -> two vectors in it and one that stands on it, in terms of the primitive ones.
FACES = {
    "1 0 0": ((0, 0, 1), (-1, 1, 0), (1, 1, -1)),
    "1 1 0": ((-1, 1, 0), (1, 1, -1), (0, 0, 1)),
    "1 1 1": ((-1, 1, 0), (0, -1, 1), (1, 1, 1)),
}
#: Added above a slab, Å.
VACUUM = 9.0
#: No meta-GGA below this pseudo-density in vacuum and hollows, electrons per bohr³: it diverges there.
DENSITY_FLOOR = 1e-5
#: Places of a jumping atom on the straight line into a vacancy, whose other half mirrors them.
PLACES = (0.0, 0.25, 0.5)
#: Arrangements of four cations that are labelled, of 19; all of two and three are.
OF_FOUR = 8
#: Distance up to which arrangements are told apart, with a lattice constant of 2 Å.
SHELLS = 4.1


@dataclass(frozen=True)
class Crystal:
    """A crystal, the basis that its cells need and the cells that are cut from it.

    Attributes:
        lattice: ASE's name.
        constant: lattice constant of all cells, Å, near those of both functionals.
        cutoff: eV.
        k_density: Å.
        supercell: of displaced and of vacant cells, in terms of the primitive cell.
        faces: by Miller indices, and how often the crystal's repeat stands in the slab.
        jump: whether an atom jumps into a vacancy.
        hollow: whether its density is so low between the atoms that r²SCAN diverges, as it does in vacuum.
    """

    lattice: str
    constant: float
    cutoff: float
    k_density: float
    supercell: tuple[tuple[int, int, int], ...] = CUBE
    faces: Mapping[str, int] = field(default_factory=dict)
    jump: bool = False
    hollow: bool = False


CRYSTALS = {
    "Si": Crystal("diamond", 5.45, 450, 3.2, faces={"1 1 0": 2}, jump=True),
    "Al": Crystal("fcc", 4.02, 450, 5.7, TWICE, {"1 0 0": 3, "1 1 0": 3, "1 1 1": 2}, jump=True),
    "AlP": Crystal("zincblende", 5.48, 450, 2.6, faces={"1 1 0": 2}),
    "NaCl": Crystal("rocksalt", 5.64, 600, 2.0, faces={"1 0 0": 2}, jump=True, hollow=True),
    "C": Crystal("diamond", 3.56, 600, 2.2, faces={"1 1 0": 2}, jump=True),
    "LiF": Crystal("rocksalt", 4.04, 1200, 1.45, faces={"1 0 0": 2}, jump=True),
    "MgO": Crystal("rocksalt", 4.22, 800, 1.9, faces={"1 0 0": 2}, jump=True),
    "CaO": Crystal("rocksalt", 4.80, 800, 1.9, faces={"1 0 0": 2}, jump=True),
}
#: The mixtures: cations of the first are replaced by those of the second.
MIXED = ("MgO", "CaO")


@dataclass(frozen=True)
class FixedCell:
    """A cell to be labelled: name `property/crystal/key`, and the crystal whose basis and density of k points it has.

    `of` is the cell that its k grid is made for: the same one for all cells that are compared and alike in size.
    """

    name: str
    atoms: ase.Atoms
    crystal: str
    of: ase.Atoms

    @property
    def structure(self) -> Structure:
        """Return it with its k grid, as it is labelled."""
        kpts = grid(self.of, CRYSTALS[self.crystal].k_density)
        atoms = ase.Atoms(self.atoms.numbers, cell=self.atoms.cell, positions=self.atoms.positions, pbc=True)
        return Structure(self.name, self.name.rpartition("/")[0], atoms, kpts)

    @property
    def cost(self) -> float:
        """Return about how long a label takes, in units without meaning: k points without images, plane waves."""
        import spglib

        lattice, places = self.atoms.cell.array, self.atoms.get_scaled_positions()
        images, _ = spglib.get_ir_reciprocal_mesh(self.structure.kpts, (lattice, places, self.atoms.numbers))
        return float(len(set(images)) * self.atoms.get_volume() * CRYSTALS[self.crystal].cutoff ** 1.5)

    def scheme(self, functional: str) -> Scheme:
        """Return how it is labelled."""
        crystal = CRYSTALS[self.crystal]
        low = functional == "r2SCAN" and (crystal.hollow or self.name.startswith("surfaces/"))
        floor = DENSITY_FLOOR if low else None
        return Scheme(functional, cutoff=crystal.cutoff, k_density=crystal.k_density, density_floor=floor)


def cells() -> list[FixedCell]:
    """Return all cells, the cheap ones first."""
    found = [cell for name in CRYSTALS for cell in _of_crystal(name)] + list(_mixtures())
    return sorted(found, key=lambda cell: cell.cost)


def rest(name: str) -> ase.Atoms:
    """Return the primitive cell of a crystal."""
    return bulk(name, CRYSTALS[name].lattice, a=CRYSTALS[name].constant)


def _of_crystal(name: str) -> Iterator[FixedCell]:
    yield from _volumes(name)
    yield from _strained(name)
    yield from _displaced(name)
    yield from _slabs(name)
    yield from _vacant(name)


def _volumes(name: str) -> Iterator[FixedCell]:
    crystal = rest(name)
    for scale in SCALES:
        atoms = crystal.copy()
        atoms.set_cell(crystal.cell.array * scale, scale_atoms=True)
        yield FixedCell(f"equation-of-state/{name}/{scale:g}", atoms, name, crystal)


def _strained(name: str) -> Iterator[FixedCell]:
    crystal = rest(name)
    for component, amount in STRAINS:
        strain = np.zeros((3, 3))
        i, j = ("xyz".index(axis) for axis in component)
        strain[i, j] = strain[j, i] = amount
        atoms = crystal.copy()
        atoms.set_cell(crystal.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        yield FixedCell(f"elastic-constants/{name}/{component} {amount:+g}", atoms, name, crystal)


def _displaced(name: str) -> Iterator[FixedCell]:
    from uprung.physics.phonons import phonons  # phonopy, which cells do without

    crystal = rest(name)
    yield FixedCell(f"phonons/{name}/crystal", crystal, name, crystal)
    phonon = phonons(crystal, np.array(CRYSTALS[name].supercell).T)
    phonon.generate_displacements(distance=DISPLACEMENT)
    for k, found in enumerate(phonon.supercells_with_displacements or []):
        atoms = ase.Atoms(found.symbols, cell=found.cell, scaled_positions=found.scaled_positions, pbc=True)
        # an atom on a face of the cell is at 0 or at 1, as the processor rounds
        yield FixedCell(f"phonons/{name}/displacement {k}", _wrapped(atoms), name, atoms)


def _slabs(name: str) -> Iterator[FixedCell]:
    for face, repeats in CRYSTALS[name].faces.items():
        periodic = _wrapped(make_supercell(rest(name), np.array(FACES[face])))
        slab = _wrapped(periodic.repeat((1, 1, repeats)))
        height = slab.cell.lengths()[2]
        slab.set_cell([*slab.cell.array[:2], slab.cell.array[2] * (1 + VACUUM / height)])
        # its middle at 0, where a plane of the real-space grid lies, so that both halves see the same grid
        places = slab.get_scaled_positions(wrap=False)
        places[:, 2] -= (places[:, 2].min() + places[:, 2].max()) / 2
        slab.set_scaled_positions(places)
        yield FixedCell(f"surfaces/{name}/({face}) crystal", periodic, name, periodic)
        yield FixedCell(f"surfaces/{name}/({face}) slab", _wrapped(slab), name, slab)


def _wrapped(atoms: ase.Atoms) -> ase.Atoms:
    atoms.wrap(eps=1e-6)
    return atoms


def _vacant(name: str) -> Iterator[FixedCell]:
    """Yield a crystal, the same without one atom or without a pair of neighbours of a compound, and a jump."""
    whole = make_supercell(rest(name), np.array(CRYSTALS[name].supercell))
    distances = whole.get_distances(0, range(len(whole)), mic=True)
    vacant, others = whole.copy(), whole.numbers != whole.numbers[0]
    del vacant[[0, *([int(np.where(others, distances, np.inf).argmin())] if others.any() else [])]]
    yield FixedCell(f"vacancies/{name}/crystal", whole, name, whole)
    yield FixedCell(f"vacancies/{name}/vacancy", vacant, name, whole)
    if CRYSTALS[name].jump:
        yield from _jump(name, whole)


def _jump(name: str, whole: ase.Atoms) -> Iterator[FixedCell]:
    """Yield the images of the jump of an atom into the site of a neighbour of its kind, the last kind of a compound."""
    alike = np.flatnonzero(whole.numbers == whole.numbers[-1])
    site, vectors = int(alike[0]), whole.get_distances(int(alike[0]), alike[1:], mic=True, vector=True)
    nearest = int(np.linalg.norm(vectors, axis=1).argmin())
    for place in PLACES:
        image = whole.copy()
        image.positions[alike[1 + nearest]] -= place * vectors[nearest]
        del image[site]
        yield FixedCell(f"paths/{name}/{place:g}", image, name, whole)


def _mixtures() -> Iterator[FixedCell]:
    """Yield the ends of the series and its arrangements, on ideal sites at Vegard's lattice constant."""
    ends = [rest(name) for name in MIXED]
    first, second = (CRYSTALS[name] for name in MIXED)
    old, new = (int(end.numbers[0]) for end in ends)
    names = "-".join(MIXED)
    for end in ends:
        yield FixedCell(f"mixing/{names}/{end.symbols[:1]}", end, MIXED[0], end)
    for sites in (2, 3, 4):
        chosen = arrangements(sites)
        for k, (matrix, replaced) in enumerate(chosen[:OF_FOUR] if sites == 4 else chosen):
            share = len(replaced) / sites
            constant = (1 - share) * first.constant + share * second.constant
            atoms = make_supercell(bulk(MIXED[0], first.lattice, a=constant), np.array(matrix))
            cations = np.flatnonzero(atoms.numbers == old)
            atoms.numbers[cations[list(replaced)]] = new
            atoms.set_cell(minkowski_reduce(atoms.cell.array)[0])
            yield FixedCell(f"mixing/{names}/{sites} cations {k}", _wrapped(atoms), MIXED[0], atoms)


def arrangements(sites: int) -> list[tuple[list[list[int]], tuple[int, ...]]]:
    """Return all arrangements of two kinds on a face-centred lattice that repeat after so many sites, but no fewer.

    Supercells in Hermite normal form (Hart and Forcade, Phys. Rev. B 77, 224115 (2008): 2, 6 and 19 of 2, 3 and 4
    sites), told apart by how often a site of either kind has how many replaced ones in its first shells.

    Args:
        sites: of the repeated cell.

    Returns:
        The cell in terms of the primitive one, and the sites (in ASE's order) of the second kind.
    """
    found = dict[object, tuple[list[list[int]], tuple[int, ...]]]()
    for size in range(1, sites + 1):
        for matrix in _supercells(size):
            neighbours = neighbor_list("ijd", make_supercell(bulk("Al", "fcc", a=2.0), np.array(matrix)), SHELLS)
            for count in range(1, size):
                for replaced in combinations(range(size), count):
                    found.setdefault(_surroundings(neighbours, size, replaced), (matrix, replaced))
    return [(matrix, replaced) for matrix, replaced in found.values() if round(abs(np.linalg.det(matrix))) == sites]


def _supercells(size: int) -> Iterator[list[list[int]]]:
    """Yield all lattices of so many primitive cells, in Hermite normal form by rows."""
    for a, c, f in product(range(1, size + 1), repeat=3):
        if a * c * f == size:
            for b, d, e in product(range(a), range(a), range(c)):
                yield [[a, 0, 0], [b, c, 0], [d, e, f]]


def _surroundings(neighbours: tuple[Ints, Ints, Floats], size: int, replaced: tuple[int, ...]) -> object:
    """Return the share of sites of every kind with every number of replaced sites in their shells of neighbours."""
    first, second, distance = neighbours
    shells = np.rint(distance**2).astype(np.int64)  # whole numbers, as the lattice constant is 2 Å
    seen = Counter[object]()
    for site in range(size):
        around = Counter(shells[(first == site) & np.isin(second, replaced)].tolist())
        seen[site in replaced, tuple(sorted(around.items()))] += 1
    return frozenset((kind, Fraction(count, size)) for kind, count in seen.items())
