"""Which labelled structures a repair of properties is fitted to, and which values it may then be judged on.

Structures of a pool are frames of an evaluation set of the softening stage. A material is known by its compositions:
those of all its structures, as reduced formulas. Nothing is judged with a label of its own composition, unless the
study asks for labels of the same composition; no structure of the pool has the geometry of a judged one in any case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import ase
import numpy as np
import pandas as pd
import pyarrow as pa
from ase.formula import Formula

from uprung.frames.table import Frames
from uprung.physics.references import Material
from uprung.softening.draws import ScoredFrame, frames_of
from uprung.softening.force_correction import one_number
from uprung.structures.identity import COLUMNS, Crystals
from uprung.structures.twins import find_twins

#: Å, root mean square over atoms and cell: closer geometries are one, as those of a pair.
TOLERANCE = 1e-3
#: Name of a set and of a material -> its compositions.
Compositions = Mapping[tuple[str, str], frozenset[str]]


@dataclass(frozen=True)
class PoolFrame:
    """A labelled structure that can be drawn, and its composition."""

    frame: ScoredFrame
    composition: str


@dataclass(frozen=True)
class Fit:
    """One draw: k labelled structures, and the materials that it is judged on, by set and name."""

    shots: int
    draw: int
    labelled: tuple[PoolFrame, ...]
    judged: frozenset[tuple[str, str]]

    @property
    def names(self) -> list[str]:
        """Return the names of the labelled structures."""
        return [each.frame.name for each in self.labelled]

    @property
    def multiplier(self) -> float:
        """Return the one number that is fitted to the labelled structures."""
        return one_number([each.frame for each in self.labelled])


def composition(numbers: Sequence[int]) -> str:
    """Return the reduced formula of some atoms, the same for every multiple of a cell."""
    return str(ase.Atoms(numbers).symbols.formula.reduce()[0].format("hill"))


def compositions_of(sets: Mapping[str, Sequence[Material]]) -> Compositions:
    """Return the compositions of the materials of some sets; one without structures has that of its name."""
    found = dict[tuple[str, str], set[str]]()
    for name, materials in sets.items():
        for material in materials:
            own = found.setdefault((name, material.name), set())
            own.update(composition(atoms.numbers) for atoms in material.structures)
            if not own:
                own.update(_named(material.name))
    return {key: frozenset(own) for key, own in found.items()}


def _named(name: str) -> set[str]:
    try:
        return {str(Formula(name).reduce()[0].format("hill"))}
    except ValueError:  # an id, of a material that cannot be tested
        return set()


def pool_of(cloud: pd.DataFrame, frames: Frames, judged: Sequence[ase.Atoms]) -> list[PoolFrame]:
    """Return the structures that can be drawn: not at rest, and of no judged geometry.

    Args:
        cloud: of `uprung.softening.slopes.cloud`, labelled and predicted forces of an evaluation set.
        frames: of the evaluation set.
        judged: all structures that values are judged on.
    """
    names, tested = frames.strings("frame_id"), np.zeros(len(frames), dtype=bool)
    if judged:
        own = Crystals(frames, _table(judged))
        classes = find_twins(own, TOLERANCE, split_at=len(frames)).classes()
        tested = np.isin(classes[: len(frames)], classes[len(frames) :])
    kinds = dict(zip(names, (composition(Z) for Z in frames.table["Z"].to_pylist()), strict=True))
    refused = {name for name, is_tested in zip(names, tested, strict=True) if is_tested}
    every = [frame for own in frames_of(cloud).values() for frame in own]
    return [PoolFrame(f, kinds[f.name]) for f in every if not f.at_rest and f.name not in refused]


def _table(structures: Sequence[ase.Atoms]) -> Frames:
    floats = pa.list_(pa.float64())
    columns = {
        "nsites": pa.array([len(atoms) for atoms in structures], pa.int32()),
        "Z": pa.array([atoms.numbers.tolist() for atoms in structures], pa.list_(pa.uint8())),
        "lattice": pa.array([atoms.cell.array.ravel().tolist() for atoms in structures], floats),
        "frac": pa.array([atoms.get_scaled_positions().ravel().tolist() for atoms in structures], floats),
    }
    return Frames(pa.table({name: columns[name] for name in COLUMNS}), {})


def fits(
    pool: Sequence[PoolFrame],
    materials: Compositions,
    *,
    same: bool,
    shots: Sequence[int],
    draws: int,
    seed: int,
) -> Iterator[Fit]:
    """Yield all draws, each with the materials that it is judged on.

    A set of k structures is drawn once. Few structures allow fewer draws than are asked for, fewer than k none.

    Args:
        pool: of `pool_of`.
        materials: of `compositions_of`.
        same: whether materials are judged with labels of their compositions, not with those of others.
        shots: numbers k of labelled structures.
        draws: how often is drawn.
        seed: of the draws; the same seed gives the same draws, whatever else is judged.
    """
    groups = dict.fromkeys(materials.values()) if same else {frozenset[str](): None}
    for group in groups:
        own = [each for each in pool if not same or each.composition in group]
        for k in shots:
            rng = np.random.default_rng([seed, k, crc32(" ".join(sorted(group)).encode())])
            for draw, chosen in enumerate(_drawn(len(own), k, draws, rng)):
                labelled = tuple(own[n] for n in chosen)
                kinds = {each.composition for each in labelled}
                judged = [name for name, known in materials.items() if (known == group if same else not known & kinds)]
                yield Fit(k, draw, labelled, frozenset(judged))


def _drawn(size: int, k: int, draws: int, rng: np.random.Generator) -> Iterator[tuple[int, ...]]:
    """Yield sets of k of some numbers, no set twice, as many as there are within twenty tries each."""
    found = set[tuple[int, ...]]()
    for _ in range(20 * draws if size >= k else 0):
        chosen = tuple(sorted(rng.permutation(size)[:k].tolist()))
        if chosen not in found:
            found.add(chosen)
            yield chosen
        if len(found) == draws:
            return
