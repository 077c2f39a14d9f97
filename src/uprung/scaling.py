"""Learning curves, the power laws through them, and what they say about the labels that transfer saves.

A *curves* table has one row per run, target and test population, with the columns in `CURVE_COLUMNS`:
`mae` and `baseline` in eV/atom, eV/Å, GPa or μB; `n_frames` is the number of training frames that the size
token resolved to and is what laws are fitted to; `baseline` is the error of the predictor that learns
nothing about geometry. Laws use the population `covered` and converged points only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd

from uprung.laws import (
    CONFIDENCE,
    Crossover,
    FloatArray,
    LawRefused,
    PowerLaw,
    crossover,
    power_law,
    student_t,
)

__all__ = [
    "CURVE_COLUMNS",
    "CURVE_KEYS",
    "LAW_COLUMNS",
    "LAW_POPULATION",
    "Crossover",
    "LawRefused",
    "PowerLaw",
    "check_curves",
    "crossover",
    "crossovers",
    "data_multiplier",
    "fit_laws",
    "law_of",
    "matching_size",
    "observed_crossing",
    "power_law",
    "published_points",
    "summarise",
]

CURVE_COLUMNS = (
    *("budget", "arm", "size", "n_frames", "n_materials", "seed", "fidelity", "target", "population"),
    *("n_test", "mae", "baseline", "converged", "reason"),
)
#: One learning curve: what a law is fitted to.
CURVE_KEYS = ["budget", "arm", "fidelity", "target", "population"]
#: Two learning curves that are compared.
PAIR_KEYS = ["budget", "fidelity", "target", "population", "scratch", "transfer"]
LAW_POPULATION = "covered"

CROSSOVER_COLUMNS = (
    *(field.name for field in fields(Crossover)),
    *("observed_between_low", "observed_between_high", "observed_better_above", "observed_changes"),
    *("observed_converged", "observed_every_seed", "observed_reason"),
)
MULTIPLIER_COLUMNS = (
    *("size", "n_frames", "mae", "n_scratch", "multiplier", "multiplier_min", "multiplier_max"),
    *("bound", "n_seeds", "reason"),
)

#: Unit in a table of published errors -> factor to the unit of a curves table.
UNIT_FACTORS = {"meV/atom": 1e-3, "meV/angstrom": 1e-3, "GPa": 1.0, "muB": 1.0}


def check_curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Return a copy of a curves table with sizes as text and no missing reasons.

    Raises ValueError for a missing column, a duplicated run, or an error or size that is not positive.
    """
    missing = [c for c in CURVE_COLUMNS if c not in curves.columns]
    if missing:
        raise ValueError(f"curves table: missing column(s) {missing}; needed are {list(CURVE_COLUMNS)}")
    table = curves.copy()
    table["size"] = table["size"].astype(str)
    table["reason"] = table["reason"].fillna("").astype(str)
    if not table["converged"].isin([True, False]).all():
        raise ValueError("curves table: column converged holds something else than True and False")
    table["converged"] = table["converged"].astype(bool)
    identity = [*CURVE_KEYS, "size", "seed"]
    twice = table[table.duplicated(identity)]
    if len(twice):
        first = twice[identity].iloc[0].to_dict()
        raise ValueError(f"curves table: {len(twice)} duplicated row(s), the first is {first}; one row per run")
    for column in ("mae", "n_frames"):
        values = table[column].to_numpy(dtype=np.float64)
        bad = table[~(np.isfinite(values) & (values > 0))]
        if len(bad):
            first = bad[[*identity, column]].iloc[0].to_dict()
            raise ValueError(
                f"curves table: {len(bad)} row(s) whose {column} is not positive and finite, the first is {first}"
            )
    return table


def _groups(table: pd.DataFrame, keys: list[str]) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    for values, part in table.groupby(keys, sort=False):
        yield {k: str(v) for k, v in zip(keys, np.atleast_1d(np.array(values, dtype=object)), strict=True)}, part


def summarise(curves: pd.DataFrame) -> pd.DataFrame:
    """Return mean, min, max and the 95 % t half-width over seeds of every point of every curve.

    One row per curve and size: the keys of the curve, size, n_frames, n_materials, n_test (means over
    seeds), n_seeds, n_converged, mae, mae_min, mae_max, mae_halfwidth (NaN with one seed), baseline.
    """
    rows = []
    for key, part in _groups(check_curves(curves), [*CURVE_KEYS, "size"]):
        mae = part["mae"].to_numpy(dtype=np.float64)
        m = len(mae)
        half = student_t(CONFIDENCE, m - 1) * float(mae.std(ddof=1)) / m**0.5 if m > 1 else float("nan")
        mean = part[["n_frames", "n_materials", "n_test", "baseline"]].astype(float).mean()
        rows.append(
            key
            | {c: float(mean[c]) for c in ("n_frames", "n_materials", "n_test")}
            | {"n_seeds": m, "n_converged": int(part["converged"].sum()), "mae": float(mae.mean())}
            | {"mae_min": float(mae.min()), "mae_max": float(mae.max()), "mae_halfwidth": half}
            | {"baseline": float(mean["baseline"])}
        )
    table = pd.DataFrame(rows)
    return table.sort_values([*CURVE_KEYS, "n_frames"], ignore_index=True) if len(table) else table


def fit_laws(curves: pd.DataFrame) -> pd.DataFrame:
    """Fit a power law to the converged points of each covered learning curve.

    One row per budget, arm, fidelity and target: law, exponent, prefactor (unit of the MAE) and r2 with
    95 % intervals `*_low`, `*_high`, counts of points, sizes, seeds and excluded points, `excluded` (which and
    why), `fitted` and the `reason` of a refusal; `log_n`, `log_mae`, `se_exponent`, `se_log_mae`, `df`, `n_min`
    and `n_max` are the `PowerLaw` itself, so that `law_of(row)` gives it back.
    """
    table = check_curves(curves)
    rows = []
    for key, part in _groups(table[table["population"] == LAW_POPULATION], CURVE_KEYS):
        good = part[part["converged"]]
        out = part[~part["converged"]]
        excluded = [
            f"n={s} seed {k}: {r or 'not converged'}"
            for s, k, r in zip(out["size"], out["seed"], out["reason"], strict=True)
        ]
        row: dict[str, object] = {
            **key,
            "law": PowerLaw.name,
            "n_points": len(good),
            "n_sizes": good["size"].nunique(),
            "n_seeds": good["seed"].nunique(),
            "n_excluded": len(out),
        }
        try:
            law = power_law(
                good["n_frames"].to_numpy(dtype=np.float64),
                good["mae"].to_numpy(dtype=np.float64),
                sizes=good["size"].to_numpy(dtype=object),
            )
            row |= _law_columns(law) | {"fitted": True, "reason": ""}
        except LawRefused as refusal:
            why = f"converged points at {refusal}"
            row |= {"fitted": False, "reason": f"{why}; {len(out)} point(s) excluded" if len(out) else why}
        rows.append(row | {"excluded": "; ".join(excluded)})
    return pd.DataFrame(rows, columns=[*CURVE_KEYS, *LAW_COLUMNS])


_STATE = ("log_n", "log_mae", "se_exponent", "se_log_mae", "df", "n_min", "n_max")
LAW_COLUMNS = (
    *("law", "exponent", "exponent_low", "exponent_high", "prefactor", "prefactor_low", "prefactor_high"),
    *("r2", "n_points", "n_sizes", "n_seeds", "n_excluded", "fitted", "reason", "excluded", *_STATE),
)


def _law_columns(law: PowerLaw) -> dict[str, object]:
    low, high = law.exponent_interval()
    c_low, c_high = law.prefactor_interval()
    row: dict[str, object] = {"exponent": law.exponent, "exponent_low": low, "exponent_high": high, "r2": law.r2}
    row |= {"prefactor": law.prefactor, "prefactor_low": c_low, "prefactor_high": c_high}
    return row | {name: getattr(law, name) for name in _STATE}


def law_of(row: pd.Series) -> PowerLaw | None:
    """Return the law in one row of the table of `fit_laws`, or None where it was refused."""
    if not bool(row["fitted"]):
        return None
    state = {name: float(row[name]) for name in ("exponent", "r2", *_STATE) if name != "df"}
    counts = {name: int(row[name]) for name in ("df", "n_points", "n_sizes")}
    return PowerLaw(**state, **counts)  # type: ignore[arg-type]


def _means(part: pd.DataFrame) -> pd.DataFrame:
    """One row per size, by increasing training size: n_frames, mae (means over seeds), converged (all)."""
    grouped = part.groupby("size", sort=False)
    means = grouped[["n_frames", "mae"]].mean()
    means["converged"] = grouped["converged"].all()
    return means.sort_values("n_frames")


def observed_crossing(scratch: pd.DataFrame, transfer: pd.DataFrame) -> dict[str, object]:
    """Return between which adjacent common sizes the mean errors of two curves last change order.

    Every point counts, converged or not, so this needs no law. `observed_converged` says whether the points at both
    ends are converged, `observed_every_seed` whether each seed that both arms have shows the same order there.
    """
    mine, other = _means(scratch), _means(transfer)
    common = [size for size in mine.index if size in set(other.index)]
    gap = np.array([mine.loc[s, "mae"] - other.loc[s, "mae"] for s in common], dtype=np.float64)
    sizes = [float(0.5 * (mine.loc[s, "n_frames"] + other.loc[s, "n_frames"])) for s in common]
    changes = [i for i in range(len(gap) - 1) if (gap[i] > 0) != (gap[i + 1] > 0)]
    row: dict[str, object] = {"observed_between_low": float("nan"), "observed_between_high": float("nan")}
    row |= {"observed_better_above": "", "observed_changes": len(changes)}
    row |= {"observed_converged": None, "observed_every_seed": None}
    if not changes:
        which = "no size in common"
        if len(gap):
            which = f"{'transfer' if gap[0] > 0 else 'scratch'} is better at every common size"
        return row | {"observed_reason": which}
    i = changes[-1]
    paired = scratch.merge(transfer, on=["size", "seed"], suffixes=("_s", "_t"))
    agree = []
    for j in (i, i + 1):
        each = paired[paired["size"] == common[j]]
        agree.append(bool((((each["mae_s"] - each["mae_t"]) > 0) == (gap[j] > 0)).all() and len(each)))
    ends = common[i : i + 2]
    return row | {
        "observed_between_low": sizes[i],
        "observed_between_high": sizes[i + 1],
        "observed_better_above": "transfer" if gap[i + 1] > 0 else "scratch",
        "observed_converged": bool(mine.loc[ends, "converged"].all() and other.loc[ends, "converged"].all()),
        "observed_every_seed": all(agree),
        "observed_reason": "" if len(changes) == 1 else f"the order changes {len(changes)} times; the last",
    }


def _pairs(
    table: pd.DataFrame, scratch: str, others: Sequence[str] | None
) -> Iterator[tuple[dict[str, str], pd.DataFrame, pd.DataFrame]]:
    """Yield (keys, scratch curve, other curve) for every covered curve of each other arm."""
    arms = list(dict.fromkeys(table["arm"]))
    others = [a for a in arms if a != scratch] if others is None else list(others)
    unknown = [a for a in (scratch, *others) if a not in arms]
    if unknown:
        raise ValueError(f"curves table has no arm {unknown}; it has {arms}")
    covered = table[table["population"] == LAW_POPULATION]
    keys = [k for k in CURVE_KEYS if k != "arm"]
    for key, part in _groups(covered, keys):
        base = part[part["arm"] == scratch]
        for arm in others:
            yield {**key, "scratch": scratch, "transfer": arm}, base, part[part["arm"] == arm]


def crossovers(
    curves: pd.DataFrame, laws: pd.DataFrame, *, scratch: str | None, others: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return where each other arm's law meets that of `scratch`, and where the measured curves change order.

    One row per budget, fidelity, target and arm: the fields of `Crossover` (`better_above` as the arm's name) and
    of `observed_crossing`. A refused law gives kind 'none' with the reason; without a scratch arm there are no rows.
    Raises ValueError for an unknown arm.
    """
    if scratch is None:
        return pd.DataFrame(columns=[*PAIR_KEYS, *CROSSOVER_COLUMNS])
    rows = []
    for key, base, part in _pairs(check_curves(curves), scratch, others):
        names = {"scratch": scratch, "transfer": key["transfer"], "": ""}
        found = {arm: _law_for(laws, key, arm) for arm in (scratch, key["transfer"])}
        one, two = found[scratch], found[key["transfer"]]
        if isinstance(one, PowerLaw) and isinstance(two, PowerLaw):
            result = dict(vars(crossover(one, two)))
            result["better_above"] = names[result["better_above"]]
        else:
            why = "; ".join(f"no law for {arm}: {law}" for arm, law in found.items() if isinstance(law, str))
            nan = float("nan")
            result = dict(vars(Crossover(nan, nan, nan, "none", "", nan, why)))
        seen = observed_crossing(base, part)
        seen["observed_better_above"] = names[str(seen["observed_better_above"])]
        rows.append(key | result | seen)
    return pd.DataFrame(rows, columns=[*PAIR_KEYS, *CROSSOVER_COLUMNS])


def _law_for(laws: pd.DataFrame, key: dict[str, str], arm: str) -> PowerLaw | str:
    """Return the law of one curve, or the reason why there is none."""
    wanted = key | {"arm": arm}
    here = laws[np.logical_and.reduce([laws[k] == wanted[k] for k in CURVE_KEYS])]
    if not len(here):
        return "no curve"
    return law_of(here.iloc[0]) or str(here.iloc[0]["reason"])


def matching_size(mae: float, n: FloatArray, errors: FloatArray) -> tuple[float, str]:
    """Return the training size at which a measured curve comes down to `mae` for good, by log–log interpolation.

    `n` (increasing) and `errors` are the curve. Where the curve never comes down to `mae` the result is the largest
    size and the bound 'at least'; where it starts below, the smallest size and 'at most'; else the bound is ''.
    """
    over = np.flatnonzero(errors > mae)
    if not len(over):
        return float(n[0]), "at most"
    i = int(over[-1])
    if i == len(n) - 1:
        return float(n[-1]), "at least"
    part = np.log(errors[i] / mae) / np.log(errors[i] / errors[i + 1])
    return float(n[i] * (n[i + 1] / n[i]) ** part), ""


def data_multiplier(curves: pd.DataFrame, *, scratch: str | None, others: Sequence[str] | None = None) -> pd.DataFrame:
    """Return how many times more labels `scratch` needs for the error that another arm has at each size.

    One row per budget, fidelity, target, arm and size: n_frames and mae of the arm (means over seeds), n_scratch
    and `multiplier` = n_scratch / n_frames, NaN with a `reason` where the scratch curve does not bracket the error
    (`bound` is then the one-sided statement) or a run of the arm is not converged; multiplier_min and
    multiplier_max over the seeds that both arms have, NaN unless each of them gives a value. The scratch curve
    consists of the sizes at which every seed is converged.
    """
    if scratch is None:
        return pd.DataFrame(columns=[*PAIR_KEYS, *MULTIPLIER_COLUMNS])
    rows = []
    for key, base, part in _pairs(check_curves(curves), scratch, others):
        good = base[base.groupby("size")["converged"].transform("all")]
        for size, point in _means(part).iterrows():
            row: dict[str, object] = {**key, "size": size, "n_frames": point["n_frames"], "mae": point["mae"]}
            value, bound, reason = _multiplier(point, _means(good))
            row |= {"n_scratch": value * point["n_frames"], "multiplier": value, "bound": bound}
            runs = part[(part["size"] == size) & part["seed"].isin(base["seed"])]
            each = [_multiplier(run, _means(good[good["seed"] == run["seed"]]))[0] for _, run in runs.iterrows()]
            ends = np.array(each if each and np.isfinite(value) else [np.nan], dtype=np.float64)
            row |= {"multiplier_min": float(ends.min()), "multiplier_max": float(ends.max())}
            rows.append(row | {"n_seeds": len(each), "reason": reason})
    return pd.DataFrame(rows, columns=[*PAIR_KEYS, *MULTIPLIER_COLUMNS])


def _multiplier(point: pd.Series, curve: pd.DataFrame) -> tuple[float, str, str]:
    """Return (multiplier or NaN, one-sided bound or '', reason or '') for one point against a mean curve."""
    nan = float("nan")
    if not bool(point["converged"]):
        return nan, "", "the arm is not converged at this size"
    if len(curve) < 2:
        return nan, "", f"scratch has {len(curve)} converged size(s); interpolation needs 2"
    errors = curve["mae"].to_numpy(dtype=np.float64)
    n, bound = matching_size(float(point["mae"]), curve["n_frames"].to_numpy(dtype=np.float64), errors)
    ratio = n / float(point["n_frames"])
    if not bound:
        return ratio, "", ""
    if bound == "at least":
        return nan, f"> {ratio:.3g}", f"scratch does not come down to this error by {n:,.0f}, its largest size"
    return nan, f"< {ratio:.3g}", f"scratch is below this error from {n:,.0f}, its smallest converged size"


def published_points(path: str | Path) -> pd.DataFrame:
    """Read published learning-curve points: columns arm, target, n_frames, mae (eV/atom, eV/Å).

    The file has the columns n_train, quantity, arm, mae, unit; n_train = 0 is a model that saw no label.
    Raises ValueError for a missing column or an unknown unit.
    """
    table = pd.read_csv(path)
    missing = {"n_train", "quantity", "arm", "mae", "unit"} - set(table.columns)
    if missing:
        raise ValueError(f"{path}: missing column(s) {sorted(missing)}")
    unknown = set(table["unit"]) - set(UNIT_FACTORS)
    if unknown:
        raise ValueError(f"{path}: unknown unit(s) {sorted(unknown)}; allowed are {sorted(UNIT_FACTORS)}")
    return pd.DataFrame(
        {
            "arm": table["arm"],
            "target": table["quantity"],
            "n_frames": table["n_train"].astype(int),
            "mae": table["mae"].astype(float) * table["unit"].map(UNIT_FACTORS).astype(float),
        }
    )
