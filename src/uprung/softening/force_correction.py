"""Correction of softness with few labelled structures: how many it takes, and what it reaches.

The published correction (Deng et al., npj Comput. Mater. 11, 9 (2025), eq. 4) multiplies the energy by a scalar that is
fitted to one labelled structure with everything else frozen, E → c·E and F → c·F. Here c multiplies the energy of the
network and not the elemental reference energies, which forces do not feel. The published fit weighs forces a thousand
times more than energies per atom; with forces alone the least-squares solution is closed, c = Σxy/Σy² over the
components x (labelled) and y (predicted) of the k structures.

Other methods (`uprung.softening.fine_tuning`) are fitted to the same structures and judged on the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uprung.softening.draws import AXES, Draw, ScoredFrame, frames_of, possible_draws, why_none
from uprung.softening.slopes import CONFIDENCE, cmae, mae, slope

Floats = NDArray[np.float64]
#: Returns the forces of the judged structures after a correction, in their order, and what is to be known of the fit.
CorrectionMethod = Callable[[str, Draw], tuple[Floats, dict[str, float]]]

NUMBER, PER_ELEMENT, TRAINING = "number", "per-element", "training"
MEASURES = ("slope", "mae", "cmae")
RATIOS = ("mae_ratio", "cmae_ratio")
#: What a method may tell about a fit.
ABOUT = ("multiplier", "multiplier_spread", "energies", "stresses", "loss_before", "loss_after")
TOLD = (
    "multiplier",
    *(f"{name}_{when}" for name in MEASURES for when in ("before", "after")),
    *RATIOS,
    "mae_to_number",
    *ABOUT[1:],
)


def by_number(_: str, chosen: Draw) -> tuple[Floats, dict[str, float]]:
    """Multiply the forces by one number."""
    c = one_number(chosen.fitted)
    return c * components(chosen.judged)[1], {"multiplier": c}


def one_number(frames: Sequence[ScoredFrame]) -> float:
    """Return c = Σxy/Σy² of labelled x and predicted y force components; NaN where all predicted ones are zero."""
    x, y = components(frames)
    return float(x @ y / (y @ y)) if y.any() else float("nan")


class ByElement:
    """Multiplies the site energies of every element by a number of its own, with everything else frozen.

    The forces are then F = Σ_Z c_Z F^(Z), F^(Z) being minus the gradient of the energies of all atoms of element Z, and
    the c_Z linear least squares: the one number where there is one element. Solved for c − 1 with minimum norm, so
    that what the k structures do not determine stays as it is.
    """

    def __init__(self, parts: pd.DataFrame) -> None:
        """Hold the F^(Z) of all frames, of `uprung.softening.slopes.parts_table`."""
        self.parts: dict[str, dict[int, Floats]] = {}
        for name, whole in parts.groupby("frame_id", sort=False):
            self.parts[str(name)] = {
                element: whole.loc[whole["element"] == element, list(AXES)].to_numpy(np.float64).ravel()
                for element in map(int, whole["element"].unique())
            }

    def __call__(self, _: str, chosen: Draw) -> tuple[Floats, dict[str, float]]:
        """Return the force components of the judged structures, and mean and spread of the multipliers."""
        elements = sorted(set().union(*(self.parts[frame.name] for frame in chosen.fitted)))
        label, predicted = components(chosen.fitted)
        change = np.linalg.lstsq(self._columns(chosen.fitted, elements), label - predicted, rcond=None)[0]
        corrected = components(chosen.judged)[1] + self._columns(chosen.judged, elements) @ change
        about = {"multiplier": float(1 + change.mean()), "multiplier_spread": float(np.ptp(change))}
        return corrected, about

    def _columns(self, frames: Sequence[ScoredFrame], elements: Sequence[int]) -> Floats:
        """Return (components, elements), zero in frames without an element."""
        rows = []
        for frame in frames:
            own, nothing = self.parts[frame.name], np.zeros_like(frame.label)
            rows.append(np.stack([own.get(element, nothing) for element in elements], axis=1))
        return np.concatenate(rows)


def drawn(
    cloud: pd.DataFrame,
    method: CorrectionMethod,
    *,
    name: str,
    shots: Sequence[int],
    draws: int,
    seed: int,
    first: int | None = None,
) -> pd.DataFrame:
    """Return slopes and errors of the judged structures before and after a correction, draw by draw.

    Args:
        cloud: of `uprung.softening.slopes.cloud` with the column trajectory (a frame that stands alone is its own).
        method: the correction.
        name: of the method.
        shots: numbers k of labelled structures.
        draws: how often is dealt.
        seed: of the draws; methods with the same seed are fitted to and judged on the same structures.
        first: how many of the draws that are possible are taken; all by default.

    Returns:
        One row per material, k and draw that was possible: method, material, shots, draw, `<m>_before`, `<m>_after` for
        m in slope, mae, cmae; mae_ratio and cmae_ratio, MAE after (or cMAE) over MAE before; `ABOUT`, NaN where the
        method does not tell it.
    """
    rows = []
    for material, frames in frames_of(cloud).items():
        for k in shots:
            for chosen in possible_draws(frames, k, draws=draws, seed=seed)[:first]:
                label, predicted = components(chosen.judged)
                corrected, about = method(material, chosen)
                row = {"method": name, "material": material, "shots": k, "draw": chosen.draw}
                rows.append(row | _judged(label, predicted, corrected) | about)
    known = ("method", "material", "shots", "draw", *TOLD)
    return pd.DataFrame(rows).reindex(columns=[column for column in known if column != "mae_to_number"])


def components(frames: Sequence[ScoredFrame]) -> tuple[Floats, Floats]:
    """Return labelled and predicted force components of frames."""
    return np.concatenate([f.label for f in frames]), np.concatenate([f.predicted for f in frames])


def _judged(label: Floats, predicted: Floats, corrected: Floats) -> dict[str, float]:
    before, after = (_measures(label, forces) for forces in (predicted, corrected))
    found: dict[str, float] = {}
    for name in MEASURES:
        found |= {f"{name}_before": before[name], f"{name}_after": after[name]}
    return found | {"mae_ratio": after["mae"] / before["mae"], "cmae_ratio": before["cmae"] / before["mae"]}


def _measures(label: Floats, predicted: Floats) -> dict[str, float]:
    a = slope(label, predicted)
    return {"slope": a, "mae": mae(label, predicted), "cmae": cmae(label, predicted, a)}


def against_number(found: pd.DataFrame) -> pd.DataFrame:
    """Return draws with the column mae_to_number: MAE after over that of the one number on the same draw.

    Args:
        found: of `drawn`, of one model and several methods; NaN where the number is not among them.
    """
    keys = ["material", "shots", "draw"]
    number = found[found["method"] == NUMBER].set_index(keys)["mae_after"]
    return found.assign(mae_to_number=found["mae_after"] / number.reindex(found.set_index(keys).index).to_numpy())


def correction_table(
    cloud: pd.DataFrame, found: pd.DataFrame, *, methods: Sequence[str], shots: Sequence[int]
) -> pd.DataFrame:
    """Return means over the draws per method, material and k.

    Args:
        cloud: that the draws were made of.
        found: of `against_number`.
        methods: in the order of the rows.
        shots: numbers k of labelled structures.

    Returns:
        One row per method, material and k: method, material, shots, draws (that were possible), trajectories, at_rest
        (frames), the columns of `found` as means over the draws; `<name>_low`, `<name>_high` hold 95 % of
        the draws; reason, why there is no number.
    """
    rows, nothing, materials = [], found.iloc[:0], frames_of(cloud)
    drawn_of = dict(iter(found.groupby(["method", "material", "shots"], sort=False)))
    for method in methods:
        for material, frames in materials.items():
            for k in shots:
                own = drawn_of.get((method, material, k), nothing)
                row = {"method": method, "material": material, "shots": k, "draws": len(own)}
                row["trajectories"] = len({frame.trajectory for frame in frames})
                row["at_rest"] = sum(frame.at_rest for frame in frames)
                rows.append(row | _summary(own) | {"reason": "" if len(own) else why_none(frames, k)})
    return pd.DataFrame(rows)


def _summary(found: pd.DataFrame) -> dict[str, float]:
    tail = 50 * (1 - CONFIDENCE)
    summary: dict[str, float] = {}
    for name in TOLD:
        values = found[name].to_numpy(dtype=np.float64)
        known = values[np.isfinite(values)]
        low, high = np.percentile(known, [tail, 100 - tail]) if len(known) else (np.nan, np.nan)
        mean = float(known.mean()) if len(known) else float("nan")
        summary |= {name: mean, f"{name}_low": float(low), f"{name}_high": float(high)}
    return summary
