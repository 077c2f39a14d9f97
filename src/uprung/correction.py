"""Correction of softness by one number: how few labelled structures it takes, and what it reaches.

The published correction (Deng et al., npj Comput. Mater. 11, 9 (2025), eq. 4) multiplies the energy by a scalar that is
fitted to one labelled structure with everything else frozen, E → c·E and F → c·F. Here c multiplies the energy of the
network and not the elemental reference energies, which forces do not feel. The published fit weighs forces a thousand
times more than energies per atom; with forces alone the least-squares solution is closed, c = Σxy/Σy² over the
components x (labelled) and y (predicted) of the k structures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uprung.softening import CONFIDENCE, statistics

Floats = NDArray[np.float64]

#: eV/Å, root mean square over components: frames below are not drawn, since their forces say nothing about a slope.
AT_REST = 0.05
MEASURES = ("slope", "mae", "cmae")
AXES = ("x", "y", "z")


def correction_table(cloud: pd.DataFrame, *, shots: Sequence[int], draws: int, seed: int) -> pd.DataFrame:
    """Return slopes and errors after the forces were multiplied by c, fitted to k structures, per material.

    Each draw deals the trajectories of a material into two halves at random; k structures are taken from one, and the
    other is judged, so that no frame is judged by a fit to its own simulation. Frames at rest (`AT_REST`) are not
    fitted to; they are judged like all others.

    Args:
        cloud: of `uprung.softening.cloud` with the column trajectory (a frame that stands alone is its own).
        shots: numbers k of labelled structures.
        draws: how often.
        seed: of the draws.

    Returns:
        One row per material and k: material, shots, draws (that were possible), trajectories, at_rest (frames),
        multiplier, `<m>_before`, `<m>_after` for m in slope, mae, cmae as means over the draws; `<name>_low`,
        `<name>_high` hold 95 % of the draws; mae_ratio and cmae_ratio, MAE after (or cMAE) over MAE before, draw by
        draw; reason, why there is no number.
    """
    rows = []
    for material, own in cloud.groupby("material", sort=False):
        frames = [_Frame(part) for _, part in own.groupby("frame_id", sort=False)]
        for k in shots:
            rng = np.random.default_rng([seed, k])
            found = [_draw(frames, k, rng) for _ in range(draws)]
            done = [values for values in found if values is not None]
            row = {"material": material, "shots": k, "draws": len(done)}
            row["trajectories"] = len({frame.trajectory for frame in frames})
            row["at_rest"] = sum(frame.at_rest for frame in frames)
            rows.append(row | _summary(done) | {"reason": "" if done else _reason(frames, k)})
    return pd.DataFrame(rows)


class _Frame:
    """Force components of a frame."""

    def __init__(self, part: pd.DataFrame) -> None:
        self.trajectory = str(part["trajectory"].iloc[0])
        self.label, self.predicted = (
            part[[f"{side}_{axis}" for axis in AXES]].to_numpy(np.float64).ravel() for side in ("label", "predicted")
        )
        self.at_rest = bool(np.sqrt(np.mean(self.label**2)) < AT_REST)


def _draw(frames: Sequence[_Frame], k: int, rng: np.random.Generator) -> dict[str, float] | None:
    """Return one draw's numbers; None where half of the trajectories holds fewer than k structures."""
    names = list(dict.fromkeys(frame.trajectory for frame in frames))
    if len(names) < 2:
        return None
    labelled = {names[i] for i in rng.permutation(len(names))[: len(names) // 2]}
    pool = [frame for frame in frames if frame.trajectory in labelled and not frame.at_rest]
    judged = [frame for frame in frames if frame.trajectory not in labelled]
    if len(pool) < k:
        return None
    taken = [pool[i] for i in rng.permutation(len(pool))[:k]]
    x, y = _components(taken)
    c = float(x @ y / (y @ y)) if y.any() else float("nan")
    label, predicted = _components(judged)
    before, after = statistics(label, predicted), statistics(label, c * predicted)
    found = {"multiplier": c}
    for name in MEASURES:
        found |= {f"{name}_before": before[name], f"{name}_after": after[name]}
    return found | {"mae_ratio": after["mae"] / before["mae"], "cmae_ratio": before["cmae"] / before["mae"]}


def _components(frames: Sequence[_Frame]) -> tuple[Floats, Floats]:
    return np.concatenate([f.label for f in frames]), np.concatenate([f.predicted for f in frames])


def _summary(found: Sequence[dict[str, float]]) -> dict[str, float]:
    names = [
        "multiplier",
        *(f"{m}_{when}" for m in MEASURES for when in ("before", "after")),
        "mae_ratio",
        "cmae_ratio",
    ]
    tail = 50 * (1 - CONFIDENCE)
    summary: dict[str, float] = {}
    for name in names:
        values = np.array([draw[name] for draw in found])
        known = values[np.isfinite(values)]
        low, high = np.percentile(known, [tail, 100 - tail]) if len(known) else (np.nan, np.nan)
        mean = float(known.mean()) if len(known) else float("nan")
        summary |= {name: mean, f"{name}_low": float(low), f"{name}_high": float(high)}
    return summary


def _reason(frames: Sequence[_Frame], k: int) -> str:
    if len({frame.trajectory for frame in frames}) < 2:
        return "all frames are of one trajectory: nothing would be left to judge"
    return (
        f"no half of the {len(frames)} frames, {sum(f.at_rest for f in frames)} of them at rest, holds {k} structures"
    )
