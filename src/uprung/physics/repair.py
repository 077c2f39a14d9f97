"""Properties after a repair with few labels: by one number that multiplies the energy, and by fine-tuning.

The one number is that of `uprung.softening.force_correction`, c = Σxy/Σy² over the force components of the labelled
structures. What it does to a property follows from the value before (`uprung.physics.quantities`), so that it costs
nothing. A fine-tuned network is asked for its properties anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from uprung.frames.schema import Floats
from uprung.job.logs import progress
from uprung.physics.quantities import QUANTITIES

if TYPE_CHECKING:
    from uprung.physics.labels import Fit  # reads labels of any format, for which the report has no use

UNTOUCHED, NUMBER, TRAINING = "untouched", "number", "training"
#: What a value is known by; values of one key are told apart by their order.
VALUE = ["set", "material", "key", "quantity"]
#: Columns of the table of repaired values.
COLUMNS = [
    *("way", "shots", "draw", "set", "material", "key", "quantity", "unit", "x", "reference", "untouched", "predicted"),
    *("multiplier", "labels", "converged", "reason"),
]
NOT_DRAWN = -1


def scaled(quantity: str, values: Floats, c: float) -> tuple[Floats, str]:
    """Return values (n,) of a quantity after the energies of a network are multiplied by c, and why there are none.

    Exact at fixed atoms; up to the limits of relaxations where these lie between. An imaginary frequency, below zero,
    stays one.
    """
    kind = QUANTITIES[quantity]
    if kind.power is None:
        return np.full_like(values, np.nan), kind.why_not
    if not c > 0:
        return np.full_like(values, np.nan), f"the number is {c:.3g}: energies would be turned over"
    return values * c**kind.power, ""


def untouched(values: pd.DataFrame) -> pd.DataFrame:
    """Return values of `uprung.physics.networks.network_tables` as rows of the table of repaired values."""
    own = values.assign(way=UNTOUCHED, shots=0, draw=NOT_DRAWN, multiplier=np.nan, labels="")
    return own.assign(untouched=values["predicted"])[COLUMNS]


def by_number(values: pd.DataFrame, chosen: Fit) -> pd.DataFrame:
    """Return the values that a draw is judged on, after the one number.

    Args:
        values: of `uprung.physics.networks.network_tables`, of the network before.
        chosen: the draw.
    """
    own, c = untouched(_judged(values, chosen)), chosen.multiplier
    for quantity, rows in own.groupby("quantity", sort=False).indices.items():
        found, why = scaled(str(quantity), own["untouched"].to_numpy(np.float64)[rows], c)
        places = own.index[rows]
        own.loc[places, "predicted"] = found
        if why:
            own.loc[places, "reason"] = why
    return own.assign(**_about(chosen, NUMBER), multiplier=c)[COLUMNS]


def by_training(
    values: pd.DataFrame, chosen: Fit, sets: Sequence[str], retest: Callable[[Fit], pd.DataFrame]
) -> pd.DataFrame:
    """Return the values that a draw is judged on, of the network trained on its structures.

    Args:
        values: of `uprung.physics.networks.network_tables`, of the network before.
        chosen: the draw.
        sets: which are tested again.
        retest: returns the values of a trained network, of the judged materials of these sets.
    """
    before = untouched(_judged(values[values["set"].isin(sets)], chosen))
    if before.empty:
        return before
    keys = [*VALUE, "place"]
    after = _placed(retest(chosen))[[*keys, "predicted", "converged", "reason"]]
    own = _placed(before.drop(columns=["predicted", "converged", "reason"])).merge(after, on=keys, how="left")
    lost = own["predicted"].isna() & own["reason"].isna()  # the material has one row with the reason now
    why = after[after["predicted"].isna()].groupby(["set", "material"])["reason"].first()
    known = why.reindex(pd.MultiIndex.from_frame(own[["set", "material"]])).to_numpy()
    own["reason"] = np.where(lost, known, own["reason"])
    own["reason"] = own["reason"].fillna("")
    own["converged"] = np.where(own["converged"].isna(), False, own["converged"])
    return own.assign(**_about(chosen, TRAINING))[COLUMNS]


def _judged(values: pd.DataFrame, chosen: Fit) -> pd.DataFrame:
    names = zip(values["set"], values["material"], strict=True)
    rows = np.array([name in chosen.judged for name in names], dtype=bool)
    return values[rows].reset_index(drop=True)


def _placed(values: pd.DataFrame) -> pd.DataFrame:
    return values.assign(place=values.groupby(VALUE, sort=False).cumcount())


def _about(chosen: Fit, way: str) -> dict[str, str | int]:
    return {"way": way, "shots": chosen.shots, "draw": chosen.draw, "labels": " ".join(chosen.names)}


def never_judged(values: pd.DataFrame, found: pd.DataFrame, way: str, k: int, *, same: bool) -> pd.DataFrame:
    """Return a row for every value that no draw of k structures is judged on, with the reason.

    Args:
        values: of the network before, of the sets that this way of repair is judged on.
        found: rows of all draws.
        way: of repair.
        k: labelled structures.
        same: whether labels are of the composition that is judged.
    """
    own = found[(found["way"] == way) & (found["shots"] == k)]
    done = set(zip(own["set"], own["material"], strict=True))
    names = zip(values["set"], values["material"], strict=True)
    left = np.array([name not in done for name in names], dtype=bool)
    structures = f"{k} structure{'s' if k > 1 else ''}"
    words = "the pool has no {} of its composition" if same else "no draw of {} is of other compositions alone"
    return untouched(values[left]).assign(way=way, shots=k, predicted=np.nan, reason=words.format(structures))


def repaired(
    values: pd.DataFrame,
    draws: Sequence[Fit],
    shots: Sequence[int],
    tuned: Sequence[str],
    retest: Callable[[Fit], pd.DataFrame],
    *,
    same: bool,
) -> pd.DataFrame:
    """Return the values of a network before and after both repairs, draw by draw; none is left out without a reason.

    Args:
        values: of `uprung.physics.networks.network_tables`, of the network before.
        draws: of `uprung.physics.labels.fits`.
        shots: numbers k of labelled structures.
        tuned: sets that are tested again after fine-tuning.
        retest: trains on the structures of a draw and returns the values of these sets that it is judged on.
        same: whether labels are of the composition that is judged.
    """
    parts = [untouched(values)]
    with progress(len(draws), "draws", "draw", every=60) as bar:
        for chosen in draws:
            parts.append(by_number(values, chosen))
            if tuned:
                parts.append(by_training(values, chosen, tuned, retest))
            bar.update()
    found = pd.concat([part for part in parts if len(part)], ignore_index=True)
    ways = {NUMBER: values} | ({TRAINING: values[values["set"].isin(tuned)]} if tuned else {})
    missing = [never_judged(own, found, way, k, same=same) for way, own in ways.items() for k in shots]
    return pd.concat([found, *(part for part in missing if len(part))], ignore_index=True)
