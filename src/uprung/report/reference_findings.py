"""Sentences about what reference energies alone predict, each made from the table of the comparison."""

from __future__ import annotations

import pandas as pd

from uprung.report.format import amount, listing, plural


def reference_errors(summary: pd.DataFrame, baseline: str) -> list[str]:
    """Say which references alone are better or worse than the baseline beyond their intervals, at either end.

    Args:
        summary: rows over the seeds, as from `uprung.atomref.compare.compare_references`.
        baseline: reference that the others are compared with.
    """
    everyone = summary[(summary["population"] == "all") & summary["mae"].notna()]
    means = everyone.groupby("size")["n_frames"].mean().sort_values()
    ends = dict.fromkeys((str(means.index[0]), str(means.index[-1]))) if len(means) else {}
    sentences = [_at(everyone[everyone["size"] == size], baseline, means[size]) for size in ends]
    return [*sentences, *_missing(summary)]


def _at(rows: pd.DataFrame, baseline: str, n: float) -> str:
    """Return what one size shows on all test structures."""
    best = rows.sort_values("mae").iloc[0]
    text = (
        f"With n = {n:,.0f}, the lowest error of references alone on all test structures is that of "
        f"{best['reference']}, {amount(best['mae'])} eV/atom"
    )
    base = rows[rows["reference"] == baseline]
    others = rows[(rows["reference"] != baseline) & rows["ratio"].notna()]
    if base.empty or others.empty:
        return f"{text}; there is no other reference to compare with {baseline}."
    if best["reference"] != baseline:
        text += f" ({baseline}: {amount(base['mae'].iloc[0])})"
    better = others.loc[others["ratio_high"] < 1, "reference"].tolist()
    worse = others.loc[others["ratio_low"] > 1, "reference"].tolist()
    alike = [name for name in others["reference"] if name not in (*better, *worse)]
    parts = [
        f"{listing(names)} {'is' if len(names) == 1 else 'are'} {what}"
        for names, what in ((better, "better"), (worse, "worse"), (alike, "not told apart from it"))
        if names
    ]
    return f"{text}. Against {baseline}, by the paired 95 % intervals: {'; '.join(parts)}."


def _missing(summary: pd.DataFrame) -> list[str]:
    """Say which references could not be fitted for some seed and size."""
    rows = summary[summary["population"] == "all"]
    seeds = int(rows["n_seeds"].max())
    short = rows[rows["n_seeds"] < seeds]
    return [
        f"{name} could not be fitted at {plural(len(part), 'size')} for every seed ({listing(part['size'].tolist())}); "
        "the reasons are in atomref/comparison.csv."
        for name, part in short.groupby("reference", sort=False)
    ]
