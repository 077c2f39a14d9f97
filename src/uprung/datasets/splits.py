"""Train/validation/test split by a keyed hash, and the order of nested training subsets.

Both are functions of names alone, not of positions in a table, so that nothing moves when data grow. The split
binds every fidelity: a group has one side, whatever the level of theory of its frames.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from ase.data import chemical_symbols
from numpy.typing import NDArray

from uprung.datasets.placement import misplaced
from uprung.frames.table import Frames
from uprung.structures.identity import Crystals
from uprung.structures.supercells import equal_primitive_cells
from uprung.structures.twins import find_twins

Group = Literal["material", "formula", "chemical_system", "frame"]
SIDES = ("train", "val", "test")


class SplitError(ValueError):
    """A side of the split is empty."""


def hash_unit(name: str, key: str) -> float:
    """Return a number in [0, 1) that depends on a name and a key only."""
    digest = hashlib.blake2b(name.encode(), key=hashlib.blake2b(key.encode(), digest_size=32).digest(), digest_size=8)
    return int.from_bytes(digest.digest(), "big") / 2**64


def assign(groups: Sequence[str], *, shares: tuple[float, float, float], key: str) -> NDArray[np.str_]:
    """Return `train`, `val` or `test` for every group name.

    Args:
        groups: group of each frame.
        shares: parts of train, validation and test, in any unit.
        key: another key is another split.
    """
    edges = np.cumsum(np.asarray(shares, dtype=np.float64)) / sum(shares)
    side = {name: SIDES[min(int(np.searchsorted(edges, hash_unit(name, key), "right")), 2)] for name in set(groups)}
    return np.array([side[name] for name in groups], dtype=np.str_)


def group_names(frames: Frames, kind: Group) -> list[str]:
    """Return the name of what every frame is kept together with: material, formula, chemical system, or itself."""
    if kind == "material":
        return frames.strings("material_id")
    if kind == "frame":
        return frames.strings("frame_id")
    numbers, offsets = frames.numbers(), frames.offsets
    return [_formula(numbers[offsets[k] : offsets[k + 1]], kind) for k in range(len(frames))]


def twin_groups(
    low: Frames, high: Frames, pairs: pd.DataFrame, kind: Group, tolerance: float
) -> tuple[list[str], list[str]]:
    """Return the group of every frame of two fidelities, such that equal geometries, and pairs, are in one.

    A crystal in a multiple of its cell is equal to it here.

    Groups that share a geometry, directly or through others, get the smallest name that one of them has in `high`, or
    else in `low`. So a group without twins keeps its name, whatever else is there.

    Args:
        low: frames of one fidelity.
        high: frames of the other.
        pairs: rows of both that are compared, from `structures.pairs.match_frames`.
        kind: what is kept together beside them.
        tolerance: largest root-mean-square displacement of equal geometries, Å.
    """
    own = [*group_names(low, kind), *group_names(high, kind)]
    if kind in ("material", "frame"):  # formula and chemical system are the same for equal geometries
        codes, names = pd.factorize(np.array(own, dtype=object))
        classes = find_twins(Crystals(low, high), tolerance).classes()
        larger, smaller = equal_primitive_cells([low, high], tolerance)
        left = codes[np.concatenate([pairs["row_low"], larger])]
        right = codes[np.concatenate([pairs["row_high"] + len(low), smaller])]
        ends = np.concatenate([codes, left]), np.concatenate([len(names) + classes, right])
        size = len(names) + len(own)
        from scipy.sparse import coo_matrix  # most users of a split make none
        from scipy.sparse.csgraph import connected_components

        graph = coo_matrix((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(size, size))
        component = connected_components(graph, directed=False)[1][: len(names)]
        table = pd.DataFrame({"component": component, "only_low": ~np.isin(np.arange(len(names)), codes[len(low) :])})
        table = table.assign(name=names).sort_values(["only_low", "name"]).drop_duplicates("component")
        own = table.sort_values("component")["name"].to_numpy()[component[codes]].tolist()
    return own[: len(low)], own[len(low) :]


def _formula(numbers: NDArray[np.int64], kind: str) -> str:
    Z, counts = np.unique(numbers, return_counts=True)
    if kind == "chemical_system":
        return "-".join(chemical_symbols[z] for z in Z)
    counts = counts // math.gcd(*counts.tolist())
    return "".join(f"{chemical_symbols[z]}{c}" for z, c in zip(Z, counts, strict=True))


def joined_groups(sides: Sequence[FidelityFrames], kind: Group) -> dict[str, dict[str, int]]:
    """Return for the manifest how many frames of each fidelity are in the group of a twin, not in their own."""
    return {
        "frames_in_the_group_of_a_twin": {
            side.fidelity: sum(a != b for a, b in zip(side.groups, group_names(side.frames, kind), strict=True))
            for side in sides
        }
    }


class Reach(NamedTuple):
    """What the networks of a study can compute.

    Attributes:
        cutoff: every atom needs a neighbour within this distance, Å, not at its own place, or it has no graph.
        unknown: atomic numbers that one of them does not know.
    """

    cutoff: float = 6.0
    unknown: Sequence[int] = ()


ALL = Reach()


def exclusions(
    frames: Frames,
    energy: NDArray[np.float64],
    *,
    max_force: float | None = None,
    max_energy_range: float | None = None,
    reach: Reach = ALL,
) -> NDArray[np.object_]:
    """Return for every frame why it takes no part in training and test, or ''.

    Args:
        frames: the table.
        energy: (n,) energy label, eV per cell.
        max_force: largest force on an atom, eV/Å.
        max_energy_range: largest energy above the lowest frame of the material, eV/atom.
        reach: what the networks of the study can compute.
    """
    reasons = np.full(len(frames), "", dtype=object)
    forces = np.linalg.norm(frames.flat("forces", 3).reshape(-1, 3), axis=1)
    largest = np.fmax.reduceat(forces, frames.offsets[:-1])
    per_atom = energy / frames.nsites
    lowest = pd.Series(per_atom).groupby(frames.strings("material_id")).transform("min").to_numpy()
    # later lines win: the most basic reason is the one that is told
    if max_energy_range is not None:
        reasons[per_atom - lowest > max_energy_range] = f"more than {max_energy_range:g} eV/atom above its material"
    if max_force is not None:
        reasons[largest > max_force] = f"force above {max_force:g} eV/Å"
    unknown = np.logical_or.reduceat(np.isin(frames.numbers(), reach.unknown), frames.offsets[:-1])
    reasons[unknown] = "an element that a network of this study does not know"
    places = misplaced(frames, reach.cutoff)
    reasons[places != ""] = places[places != ""]
    reasons[np.isnan(energy)] = "no energy label"
    return reasons


@dataclass(frozen=True)
class FidelityFrames:
    """One fidelity on its way into the split: its name, frames, energy label (n,) eV per cell, and groups."""

    fidelity: str
    frames: Frames
    energy: NDArray[np.float64]
    groups: list[str]


def split_fidelities(
    sides: Sequence[FidelityFrames],
    *,
    shares: tuple[float, float, float],
    key: str,
    max_force: float | None = None,
    max_energy_range: float | None = None,
    reach: Reach = ALL,
) -> pd.DataFrame:
    """Split the frames of several fidelities at once, so that a group is on one side in all of them.

    A frame with an element that occurs in no training frame of any fidelity is excluded: nothing but an invented
    number could be its reference energy.

    Returns:
        One row per frame: fidelity, row, frame_id, material_id, group, side, split (`side` or `excluded`), reason.
    """
    tables = []
    for side in sides:
        reasons = exclusions(
            side.frames, side.energy, max_force=max_force, max_energy_range=max_energy_range, reach=reach
        )
        tables.append(
            pd.DataFrame(
                {
                    "fidelity": side.fidelity,
                    "row": np.arange(len(side.frames)),
                    "frame_id": side.frames.strings("frame_id"),
                    "material_id": side.frames.strings("material_id"),
                    "group": side.groups,
                    "side": assign(side.groups, shares=shares, key=key),
                    "reason": reasons,
                }
            )
        )
    elements = [elements_of(side.frames) for side in sides]
    known = frozenset[int]().union(
        *(
            found[row]
            for table, found in zip(tables, elements, strict=True)
            for row in table.index[(table["side"] == "train") & (table["reason"] == "")]
        )
    )
    for table, found in zip(tables, elements, strict=True):
        for row, own in enumerate(found):
            if own - known and not table.at[row, "reason"]:
                names = ", ".join(chemical_symbols[z] for z in sorted(own - known))
                table.at[row, "reason"] = f"element in no training frame: {names}"
    split = pd.concat(tables, ignore_index=True)
    return split.assign(split=split["side"].where(split["reason"] == "", "excluded"))


def frames_on(split: pd.DataFrame, fidelity: str, side: str) -> list[str]:
    """Return the names of the frames of a fidelity on one side of the split."""
    return split.loc[(split["fidelity"] == fidelity) & (split["split"] == side), "frame_id"].astype(str).tolist()


def sample(split: pd.DataFrame, fidelity: str, side: str, count: int) -> list[str]:
    """Return the names of at most `count` frames of a side of a fidelity, the same ones whenever they are there."""
    names = frames_on(split, fidelity, side)
    return sorted(sorted(names, key=lambda name: (hash_unit(name, "sample"), name))[:count])


def require_sides(split: pd.DataFrame, fidelity: str) -> None:
    """Raise SplitError when a fidelity has no frame to train, validate or test on."""
    for side in SIDES:
        if not ((split["fidelity"] == fidelity) & (split["split"] == side)).any():
            raise SplitError(
                f"fidelity {fidelity!r} has no {side} frame: {split['group'].nunique()} groups are too few for these "
                "shares; change split.train/val/test, split.key or split.group, or relax transfer.select"
            )


def elements_of(frames: Frames) -> list[frozenset[int]]:
    """Return the atomic numbers in every frame."""
    return [frozenset(part.tolist()) for part in np.split(frames.numbers(), frames.offsets[1:-1])]


def split_counts(split: pd.DataFrame) -> dict[str, Any]:
    """Return frames and groups per fidelity and split, and every excluded frame with its reason."""
    counts = split.groupby(["fidelity", "split"]).agg(frames=("frame_id", "size"), groups=("group", "nunique"))
    excluded = split[split["split"] == "excluded"]
    return {
        "counts": counts.reset_index().to_dict("records"),
        "reasons": {str(k): int(v) for k, v in excluded.groupby(["fidelity", "reason"]).size().items()},
        "excluded": excluded[["fidelity", "frame_id", "reason"]].to_dict("records"),
    }


def unit_names(train: pd.DataFrame, draw: Literal["material", "frame"]) -> pd.Series:
    """Return the unit that is drawn as a whole, for every training frame."""
    return (train["material_id"] if draw == "material" else train["frame_id"]).astype(str)


def pretraining_share(split: pd.DataFrame, fidelity: str, known: frozenset[str] | None) -> dict[str, Any]:
    """Return how many test materials of a fidelity the pretraining set holds; None where that is not known.

    Args:
        split: the split table.
        fidelity: whose test.
        known: material ids of the pretraining set, None if nobody said.
    """
    test = split.loc[(split["fidelity"] == fidelity) & (split["split"] == "test"), "material_id"].astype(str)
    materials = set(test)
    inside = None if known is None else len(materials & known)
    return {"test_materials": len(materials), "in_pretraining": inside}


def training_order(
    train: pd.DataFrame,
    *,
    draw: Literal["material", "frame"],
    seed: int,
    key: str,
    places: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Return the training frames in the order in which subsets take them.

    Args:
        train: rows of a split table with split `train`, one fidelity.
        draw: unit that is drawn as a whole.
        seed: another seed is another permutation of the units.
        key: key of the split.
        places: unit -> place, of `datasets.sampling`; by default a hash of seed and name, with which a new unit enters
            without moving others.

    Returns:
        `train` sorted by unit, with columns `unit`, `unit_rank` (0 first) and `n_frames` (frames up to and
        including this row's unit).
    """
    unit = unit_names(train, draw)
    place = places or {name: hash_unit(name, f"{key}/order/{seed}") for name in unit.unique()}
    ranked = {name: rank for rank, name in enumerate(sorted(place, key=lambda name: (place[name], name)))}
    order = train.assign(unit=unit, unit_rank=unit.map(ranked)).sort_values(["unit_rank", "frame_id"])
    reached = np.cumsum(np.bincount(order["unit_rank"]))[order["unit_rank"]]
    return order.assign(n_frames=reached).reset_index(drop=True)
