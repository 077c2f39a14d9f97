"""Properties after each transfer arm against those of the checkpoint that it started from, on the same values."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from uprung.physics.paired import STATISTICS, Resampling, compared
from uprung.physics.repair import VALUE
from uprung.physics.results import NO_RATIO
from uprung.physics.tables import RUN

GROUP = ["budget", "arm", "size", "set", "quantity", "unit"]
#: Columns of names and sentences.
TEXT = ("model", "budget", "arm", "size", "set", "quantity", "unit", "reading")


def transfer_table(values: pd.DataFrame, starts: Mapping[str, str], *, resamples: int, seed: int) -> pd.DataFrame:
    """Return one row per arm, size, set and quantity: ratio and error before and after, and how they changed.

    Args:
        values: of all networks, as in `uprung.physics.tables.summary`.
        starts: arm -> checkpoint that it starts from; arms without one are left out.
        resamples: of the bootstrap over materials, and over seeds where there are three or more.
        seed: of the bootstrap.

    Returns:
        Columns model (the checkpoint), `GROUP`, materials, draws (seeds), values (that both networks give), the
        `STATISTICS` of `uprung.physics.paired` with intervals over materials, NaN with fewer than three; reading: what
        they say of the ratio and of the error.
    """
    rows = []
    trained = values[(values["model"] == RUN) & values["arm"].isin(list(starts))]
    keys = [*VALUE, "place"]
    untouched = {
        name: _placed(own, ["model"])[[*keys, "predicted"]].rename(columns={"predicted": "before"})
        for name, own in values[values["model"] != RUN].groupby("model", sort=False)
    }
    for names, own in trained.groupby(GROUP, sort=False):
        row: dict[str, object] = dict(zip(GROUP, names, strict=True))
        start = starts[str(row["arm"])]
        if start not in untouched:
            continue
        both = (
            _placed(own, ["seed"])
            .merge(untouched[start], on=keys)
            .rename(columns={"predicted": "after", "seed": "draw"})
        )
        both = both.dropna(subset=["reference", "before", "after"])
        found = compared(both, Resampling(resamples, seed, draws_needed=False))
        if row["quantity"] in NO_RATIO:
            found |= {name: np.nan for name in found if name.startswith("ratio")}
        rows.append({"model": start} | row | found | {"reading": reading(found)})
    spread = [f"{name}{end}" for name in STATISTICS for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["model", *GROUP, "materials", "draws", "values", *spread, "reading"])


def _placed(values: pd.DataFrame, beside: list[str]) -> pd.DataFrame:
    return values.assign(place=values.groupby([*beside, *VALUE], sort=False).cumcount())


def reading(found: Mapping[str, float]) -> str:
    """Return what the intervals of the changes say: 'lower, worse', 'not settled' where they hold zero or are none."""
    words = []
    for name, down, up in (("ratio_change", "lower", "higher"), ("mae_change", "better", "worse")):
        if found[f"{name}_high"] < 0:
            words.append(down)
        elif found[f"{name}_low"] > 0:
            words.append(up)
    return ", ".join(words) or "not settled"
