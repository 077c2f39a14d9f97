"""Values of two networks against the same references: ratios, errors and their changes, with intervals.

A material may have several draws of the changed network: of labels that a repair was fitted to, or seeds of an arm.
Sums over a material are means over its draws, so that none counts for more than its values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from uprung.frames.schema import Floats
from uprung.physics.tables import FEWEST
from uprung.softening.slopes import CONFIDENCE

#: ratio: Σxy/Σx² of values y on references x; mae: mean |y − x|; mae_ratio: of after to before; mae_change: difference.
STATISTICS = ("ratio", "ratio_before", "ratio_change", "mae", "mae_before", "mae_ratio", "mae_change")


@dataclass(frozen=True)
class Resampling:
    """How intervals are drawn.

    Materials are drawn with replacement, and where there are `FEWEST` draws these as well: `shared` draws are those of
    all materials and drawn once (the same labels, the same network), others within each material. `draws_needed`: fewer
    draws give no interval; otherwise that of the draws at hand, over materials alone.
    """

    resamples: int
    seed: int
    shared: bool = True
    draws_needed: bool = True


def compared(rows: pd.DataFrame, how: Resampling) -> dict[str, float]:
    """Return materials, draws, values, and the statistics with their 95 % intervals `<s>_low`, `<s>_high`.

    Args:
        rows: columns material, draw, reference, before and after, in which all are known.
        how: of the intervals, NaN with fewer than three materials.
    """
    material, draw = (pd.factorize(rows[name])[0] for name in ("material", "draw"))
    x, before, after = (rows[name].to_numpy(np.float64) for name in ("reference", "before", "after"))
    n = (int(material.max()) + 1, int(draw.max()) + 1) if len(rows) else (0, 0)
    sums = np.zeros((*n, 6))
    terms = [np.ones_like(x), x * x, x * before, x * after, np.abs(before - x), np.abs(after - x)]
    np.add.at(sums, (material, draw), np.stack(terms, axis=1))
    present = sums[:, :, 0] > 0
    values = int(sums[..., 0].max(axis=1).sum()) if len(rows) else 0
    found: dict[str, float] = {"materials": n[0], "draws": n[1], "values": values}
    whole = _statistics(_weighted(sums, present, np.ones((1, n[0])), np.ones((1, *n))))
    known = n[0] >= FEWEST and (n[1] >= FEWEST or not how.draws_needed)
    drawn = _statistics(_weighted(sums, present, *_weights(present, how))) if known else {}
    tail = 50 * (1 - CONFIDENCE)
    for name in STATISTICS:
        every = drawn.get(name, np.empty(0))
        every = every[np.isfinite(every)]
        low, high = np.percentile(every, [tail, 100 - tail]) if len(every) else (np.nan, np.nan)
        found |= {name: float(whole[name][0]), f"{name}_low": float(low), f"{name}_high": float(high)}
    return found


def _weights(present: NDArray[np.bool_], how: Resampling) -> tuple[Floats, Floats]:
    """Return how often materials (b, m) and their draws (b, m, d) are drawn."""
    rng, (m, d) = np.random.default_rng(how.seed), present.shape
    materials = rng.multinomial(m, np.full(m, 1 / m), size=how.resamples).astype(np.float64)
    if d < FEWEST:
        draws = np.ones((how.resamples, m, d))
    elif how.shared:
        once = rng.multinomial(d, np.full(d, 1 / d), size=(how.resamples, 1))
        draws = np.broadcast_to(once, (how.resamples, m, d)).astype(np.float64)
    else:
        count = present.sum(axis=1)
        draws = rng.multinomial(count, present / count[:, None], size=(how.resamples, m)).astype(np.float64)
    return materials, draws


def _weighted(sums: Floats, present: NDArray[np.bool_], materials: Floats, draws: Floats) -> Floats:
    """Return sums (b, 6) over materials of means over their draws; a material without a drawn one is left out."""
    weight = draws * present
    total = weight.sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.einsum("bmd,mdk->bmk", weight, sums) / total[:, :, None]
    return np.asarray(np.einsum("bm,bmk->bk", materials, np.nan_to_num(means)))


def _statistics(sums: Floats) -> dict[str, Floats]:
    n, xx, before, after, error_before, error_after = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {
            "ratio": after / xx,
            "ratio_before": before / xx,
            "ratio_change": (after - before) / xx,
            "mae": error_after / n,
            "mae_before": error_before / n,
            "mae_ratio": error_after / error_before,
            "mae_change": (error_after - error_before) / n,
        }
    return {name: np.where(np.isfinite(value), value, np.nan) for name, value in found.items()}
