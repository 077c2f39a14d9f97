"""Softening: whether a potential predicts forces that are too small, and whether that is more than calibrated noise.

Definitions follow Deng et al., npj Comput. Mater. 11, 9 (2025): components of predicted forces y against labelled
forces x, per material. The paper says "linear fitted slope"; the released benchmark of its first author fits through
the origin, which is the default here. Two remarks decide what a slope below 1 means.

* A predictor that minimises the squared error shrinks what it cannot know. Its slope equals its R² (uncentred) and is
  below 1 without any systematic softness. The multiplier that minimises the squared error, c* = Σxy/Σy² = R²/slope,
  tells the two apart: only c* > 1 means that larger forces would be better.
* Forces near zero carry no slope. Statistics by size of the force are given beside those of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uprung.softening.forces import Forces as Forces
from uprung.softening.forces import forces_of as forces_of
from uprung.softening.forces import forces_of_frames as forces_of_frames

Floats = NDArray[np.float64]

#: eV/Å, lower ends of the ranges of |F|.
FORCE_RANGES = (0.0, 0.1, 0.3, 1.0, 3.0)
CONFIDENCE = 0.95
STATISTICS = ("slope", "slope_intercept", "intercept", "inverse_slope", "r2", "multiplier", "mae", "cmae")
POOLED = "all materials"
TOO_FEW = "fewer than three frames, trajectories or materials for an interval"


def cloud(forces: Forces, frame_ids: NDArray[np.object_], trajectories: NDArray[np.object_]) -> pd.DataFrame:
    """Return the forces as a table of frame_id, material, group, trajectory, label_x … predicted_z (eV/Å).

    Args:
        forces: of some frames.
        frame_ids: names of all frames, at the numbers in `forces.frame`.
        trajectories: of all frames; None for a frame that stands alone, whose name is used.
    """
    own = np.where(pd.isna(trajectories), frame_ids, trajectories)
    names = {"frame_id": frame_ids, "trajectory": own}
    names = {name: values[forces.frame] for name, values in names.items()}
    names |= {"material": forces.material, "group": forces.group}
    sides = (("label", forces.label), ("predicted", forces.predicted))
    values = {f"{side}_{axis}": value[:, k] for side, value in sides for k, axis in enumerate("xyz")}
    return pd.DataFrame(names | {name: value.astype(np.float32) for name, value in values.items()})


def parts_table(parts: Sequence[Mapping[int, Floats]], frame_ids: Sequence[str]) -> pd.DataFrame:
    """Return forces by the element of the atoms whose energies they come from: frame_id, element (Z), x, y, z in eV/Å.

    Args:
        parts: of `uprung.models.predict.predict_by_element`.
        frame_ids: names of the frames.
    """
    tables = [
        pd.DataFrame(values.astype(np.float32), columns=list("xyz")).assign(frame_id=name, element=element)
        for name, part in zip(frame_ids, parts, strict=True)
        for element, values in sorted(part.items())
    ]
    columns = ["frame_id", "element", "x", "y", "z"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def statistics(label: Floats, predicted: Floats) -> dict[str, float]:
    """Return the statistics of a cloud of force components.

    Args:
        label: (n,) x, eV/Å.
        predicted: (n,) y, eV/Å.

    Returns:
        slope: Σxy/Σx², through the origin. slope_intercept, intercept: of y = a·x + b. inverse_slope: Σxy/Σy², of x on
        y. r2: uncentred, slope · inverse_slope. multiplier: c*, which minimises Σ(c·y − x)². mae: mean |y − x|.
        cmae: mean |y/slope − x|, the error after the cloud is turned back to slope 1. NaN where undefined.
    """
    sums = _sums(label, predicted).sum(axis=0)
    found = {name: float(value) for name, value in _from_sums(sums).items()}
    found["mae"] = mae(label, predicted)
    found["cmae"] = cmae(label, predicted, found["slope"])
    return {name: found[name] for name in STATISTICS}


def _sums(x: Floats, y: Floats) -> Floats:
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


def _from_sums(sums: Floats) -> dict[str, Floats]:
    """Return what follows from (..., 6) sums of 1, x, y, x², xy, y²."""
    n, x, y, xx, xy, yy = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope, inverse = xy / xx, xy / yy
        spread = xx - x * x / n
        centred = (xy - x * y / n) / np.where(spread > 1e-12 * xx, spread, np.nan)
        found = {
            "slope": slope,
            "slope_intercept": centred,
            "intercept": (y - centred * x) / n,
            "inverse_slope": inverse,
            "r2": slope * inverse,
            "multiplier": inverse,
        }
    return {name: np.where(np.isfinite(value), value, np.nan) for name, value in found.items()}


def slope(label: Floats, predicted: Floats) -> float:
    """Return Σxy/Σx² of force components (n,), NaN where undefined."""
    square = float(label @ label)
    return float(label @ predicted) / square if square else float("nan")


def mae(label: Floats, predicted: Floats) -> float:
    """Return mean |y − x| of force components (n,), eV/Å, NaN where there are none."""
    return float(np.abs(predicted - label).mean()) if len(label) else float("nan")


def cmae(label: Floats, predicted: Floats, slope: float) -> float:
    """Return mean |y/slope − x| of force components (n,), eV/Å, NaN where undefined."""
    if not len(label) or not np.isfinite(slope) or slope == 0:
        return float("nan")
    return float(np.abs(predicted / slope - label).mean())


def softening_table(forces: Forces, *, resamples: int, seed: int) -> pd.DataFrame:
    """Return the statistics per material and pooled, for all forces, by size of the force and by group of frames.

    Args:
        forces: labelled and predicted.
        resamples: of the bootstrap; over trajectories within a material (frames that stand alone are one each), over
            materials and their trajectories where pooled.
        seed: of the bootstrap.

    Returns:
        One row per material (and `POOLED` where there are several) and subset: material, subset (`all`, `force`,
        `group`), key, n_materials, n_frames, n_components, `STATISTICS` with 95 % percentile intervals `<s>_low`,
        `<s>_high` (NaN with fewer than three units to draw from), softened (slope < 1) and reading: what the slope
        says.
    """
    materials = list(dict.fromkeys(forces.material))
    rows = []
    for material in [*materials, *([POOLED] if len(materials) > 1 else [])]:
        own = forces if material == POOLED else forces.take(forces.material == material)
        for subset, key, part in _subsets(own):
            if len(part.label):
                rows.append({"material": material, "subset": subset, "key": key, **_row(part, resamples, seed)})
    return pd.DataFrame(rows)


def _subsets(forces: Forces) -> Iterator[tuple[str, str, Forces]]:
    yield "all", "", forces
    size = np.linalg.norm(forces.label, axis=1)
    edges = [*FORCE_RANGES, np.inf]
    for low, high in pairwise(edges):
        yield "force", f"{low:g}", forces.take((size >= low) & (size < high))
    groups = list(dict.fromkeys(forces.group))
    for group in groups if len(groups) > 1 else []:
        yield "group", str(group), forces.take(forces.group == group)


def _row(forces: Forces, resamples: int, seed: int) -> dict[str, object]:
    x, y = forces.label.ravel(), forces.predicted.ravel()
    found = statistics(x, y)
    members, _ = _frames_by_material(forces)
    n_frames = sum(len(frames) for own in members for frames in own)
    row: dict[str, object] = {
        "n_materials": len(members),
        "n_trajectories": sum(map(len, members)),
        "n_frames": n_frames,
        "n_components": len(x),
    }
    intervals = bootstrap(forces, resamples=resamples, seed=seed)
    for name in STATISTICS:
        low, high = intervals[name]
        row |= {name: found[name], f"{name}_low": low, f"{name}_high": high}
    return row | {"softened": bool(found["slope"] < 1), "reading": reading(found, intervals)}


def _frames_by_material(forces: Forces) -> tuple[list[list[NDArray[np.intp]]], NDArray[np.intp]]:
    """Return the frames of each trajectory of each material, numbered through, and each atom's frame, (A,)."""
    material = pd.factorize(forces.material, sort=True)[0]
    codes, first, frame = np.unique(
        material * (forces.frame.max() + 1) + forces.frame, return_index=True, return_inverse=True
    )
    owner = codes // (forces.frame.max() + 1)
    run = np.arange(len(codes)) if forces.trajectory is None else forces.trajectory[first]
    members = []
    for m in range(material.max() + 1):
        own = np.flatnonzero(owner == m)
        _, number = np.unique(run[own], return_inverse=True)
        members.append([own[number == t] for t in range(number.max() + 1)])
    return members, frame


def bootstrap(forces: Forces, *, resamples: int, seed: int) -> dict[str, tuple[float, float]]:
    """Return 95 % percentile intervals of all statistics.

    Trajectories are drawn with replacement, all frames of one together, since they are alike; a frame that stands
    alone is a trajectory. With several materials, materials come first and then trajectories of each drawn one, so that
    the interval is that of another set of materials. NaN with fewer than three units to draw from.
    """
    members, unit = _frames_by_material(forces)
    nothing = dict.fromkeys(STATISTICS, (float("nan"), float("nan")))
    frames = sum(len(own) for runs in members for own in runs)
    if (len(members) if len(members) > 1 else len(members[0])) < 3:
        return nothing
    component = np.repeat(unit, 3)
    x, y = forces.label.ravel(), forces.predicted.ravel()
    sums = np.zeros((frames, 7))
    np.add.at(sums, component, np.hstack([_sums(x, y), np.abs(y - x)[:, None]]))
    weights = _drawn_frames(members, resamples, np.random.default_rng(seed))
    totals = weights @ sums
    values: dict[str, Floats] = _from_sums(totals[:, :6])
    values["mae"] = totals[:, 6] / totals[:, 0]
    values["cmae"] = _cmae_of_resamples(x, y, component, weights, values["slope"])
    tail = 50 * (1 - CONFIDENCE)
    ends = {
        name: np.nanpercentile(value, [tail, 100 - tail]) if np.isfinite(value).any() else (np.nan, np.nan)
        for name, value in values.items()
    }
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def _drawn_frames(members: Sequence[Sequence[NDArray[np.intp]]], resamples: int, rng: np.random.Generator) -> Floats:
    """Return how often every frame is drawn in every resample, (resamples, frames).

    Args:
        members: numbers of the frames of each trajectory of each material. Materials are drawn, then as many
            trajectories of each as it has, anew for every time it is drawn; with one material trajectories alone.
        resamples: how many.
        rng: source of the draws.
    """
    n = len(members)
    times = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    weights = np.zeros((resamples, sum(len(frames) for runs in members for frames in runs)))
    for drawn, runs in zip(times.T, members, strict=True):
        count = rng.multinomial(drawn * len(runs), np.full(len(runs), 1 / len(runs)))
        for each, frames in zip(count.T, runs, strict=True):
            weights[:, frames] = each[:, None]
    return weights


def _cmae_of_resamples(
    x: Floats, y: Floats, component: NDArray[np.intp], weights: Floats, slopes: Floats, at_once: int = 1_000_000
) -> Floats:
    """Return mean |y/slope − x| of every resample, whose slope is its own, (resamples,).

    Args:
        x: (n,) labelled components.
        y: (n,) predicted components.
        component: (n,) frame of each.
        weights: (resamples, frames) how often each frame is drawn.
        slopes: (resamples,).
        at_once: numbers that are held in memory.
    """
    found = np.empty(len(slopes))
    step = max(1, at_once // len(x))
    for k in range(0, len(slopes), step):
        part = slice(k, k + step)
        own = weights[part][:, component]
        error = np.abs(y / slopes[part, None] - x)
        found[part] = np.einsum("rn,rn->r", own, error) / own.sum(axis=1)
    return found


def reading(found: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]) -> str:
    """Return what the statistics say about softness, in words that stay within their intervals."""
    slope_low, slope_high = intervals["slope"]
    low, high = intervals["multiplier"]
    if not np.isfinite([slope_low, slope_high, low, high]).all():
        return TOO_FEW
    if slope_low <= 1 <= slope_high:
        return "slope does not differ from 1"
    if found["slope"] > 1:
        return "too stiff"
    if low > 1:
        return "too soft"
    if high < 1:
        return "slope below 1 from scatter: smaller forces would fit better"
    return "slope below 1 may be the shrinkage of a calibrated predictor"


def fraction_softened(table: pd.DataFrame, *, resamples: int, seed: int) -> dict[str, float]:
    """Return which share of the materials has a slope below 1, with a 95 % bootstrap interval over materials.

    Args:
        table: of `softening_table`.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    own = table[(table["material"] != POOLED) & (table["subset"] == "all")]
    soft = own["softened"].to_numpy(dtype=np.float64)
    if not len(soft):
        return {"share": float("nan"), "low": float("nan"), "high": float("nan"), "materials": 0}
    draws = np.random.default_rng(seed).integers(len(soft), size=(resamples, len(soft)))
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(soft[draws].mean(axis=1), [tail, 100 - tail])
    return {"share": float(soft.mean()), "low": float(low), "high": float(high), "materials": len(soft)}
