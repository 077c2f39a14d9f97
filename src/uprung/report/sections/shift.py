"""Energy shift: how the labels of two fidelities differ."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from uprung.config.study import Study
from uprung.report.arms import functional_of
from uprung.report.blocks import Block, Cell, Details, Heading, Sentences, Table, Text, picture
from uprung.report.format import NONE, count, error, fixed, listing, pearson, plural
from uprung.report.results import StudyResults, is_true

EXACT = 1e-6  # eV/atom, eV/Å, GPa or μB: numerical zero


def section(study: Study, results: StudyResults) -> Iterator[Block]:
    """Yield the section: the pair that is trained on; others are opened by the reader."""
    for name in sorted(study.pairs, key=lambda name: name != study.transfer.pair):
        low, high = (functional_of(study, side) for side in (study.pairs[name].low, study.pairs[name].high))
        title, blocks = f"{name}: {low} and {high}", list(_pair(study, results, name, low, high))
        if name == study.transfer.pair:
            yield Heading(f"{title}, trained on", f"pair-{name}")
            yield from blocks
        else:
            yield Details(f"{title}, analysed only", blocks)


def _pair(study: Study, results: StudyResults, name: str, low: str, high: str) -> Iterator[Block]:
    yield Sentences(pair_findings(study, results, name))
    yield correlation_table(results.correlations[name], low=low, high=high)
    remark = str(results.analyses[name]["importance"])
    for kind in ("energy", "labels", "shift", "elements", *(() if remark else ("importance",))):
        subset = f"the pairs whose {low} forces are all below {study.analysis.force_limit:g} eV/Å"
        yield picture(results.figures, f"{{pair}}-{kind}", pair=name, low=low, high=high, subset=subset)
    if remark:
        yield Text(f"No importance of elements for formation energies: {remark}.")


def pair_findings(study: Study, results: StudyResults, name: str) -> list[str]:
    """Return how the labels of a pair of fidelities differ, in sentences."""
    low, high = (functional_of(study, side) for side in (study.pairs[name].low, study.pairs[name].high))
    return [
        *label_agreement(results.correlations[name], low=low, high=high),
        *shift_by_element(results.shifts[name], low=low, high=high, limit=study.analysis.force_limit),
    ]


def doubts(results: StudyResults) -> list[str]:
    """Return what is doubtful about the labels of all pairs and fidelities; it stands before everything else."""
    pairs = [f"Pair {name}: {warning}." for name, facts in results.pairs.items() for warning in facts["warnings"]]
    found = {name: facts.get("same_geometry_other_energy", {}) for name, facts in results.frames.items()}
    return pairs + [
        f"Fidelity {name} has {plural(facts['geometries'], 'geometry', 'geometries')} with energies that are more than "
        f"{1e3 * facts['more_than_ev_per_atom']:g} meV/atom apart; its manifest names them."
        for name, facts in found.items()
        if facts.get("geometries")
    ]


def correlation_table(correlation: pd.DataFrame, *, low: str, high: str) -> Table:
    """Return the agreement of two fidelities' labels, quantity by quantity."""
    scales = {"eV/atom": ("energy", "meV/atom"), "eV/Å": ("force", "meV/Å"), "GPa": ("stress", "GPa")}
    rows = []
    measured = correlation[(correlation["n_values"] > 0) & ~_exact(correlation)]
    for _, row in measured.iterrows():
        target, shown = scales.get(row["unit"], ("magmom", "μB"))
        subset = str(row["subset"]).replace("F_low", f"F({low})")
        interval = f"{pearson(row['pearson_low'])} to {pearson(row['pearson_high'])}"
        rows.append(
            (
                Cell(str(row["quantity"]), subset),
                count(row["n_structures"]),
                count(row["n_values"]),
                Cell(pearson(row["pearson"]), interval if NONE not in interval else ""),
                pearson(row["spearman"]),
                Cell(error(row["mae"], target, units=False), shown),
                Cell(error(row["rmsd"], target, units=False), shown),
                fixed(row["slope"], 3),
            )
        )
    absent = correlation.loc[correlation["n_values"] == 0, "quantity"].drop_duplicates().tolist()
    return Table(
        f"Agreement of {low} and {high} labels of the same structures. Under Pearson r its 95 % bootstrap interval "
        f"over materials. MAE and RMSD of {high} − {low}; slope of {high} on {low}. “Referenced” is each side minus "
        f"its own least-squares elemental references; |F({low})| is the largest force on an atom of a structure."
        + (f" Not labelled on both sides: {listing(absent)}." if absent else ""),
        ["quantity", "structures", "values", "Pearson r", "Spearman ρ", "MAE", "RMSD", "slope"],
        rows,
    )


def _exact(correlation: pd.DataFrame) -> pd.Series:
    """Return where both sides are the same number throughout, so that no measure of agreement exists."""
    return correlation["pearson"].isna() & (correlation["mae"] < EXACT)


def label_agreement(correlation: pd.DataFrame, *, low: str, high: str) -> list[str]:
    """State how well the labels of two fidelities agree, before and after referencing.

    Args:
        correlation: as from `uprung.labels.correlation.correlation`; the last subset is described.
        low: functional of the cheap labels, as printed.
        high: functional of the better labels.
    """
    if correlation.empty:
        return [f"No structure has both {low} and {high} labels."]
    subset = str(correlation["subset"].iloc[-1])
    here = correlation[correlation["subset"] == subset]
    rows = {str(row["quantity"]): row for _, row in here.iterrows()}
    count = int(here["n_structures"].max())
    raw, relative = rows["energy raw"], rows["energy referenced"]
    which = "" if subset == "all" else f" whose {low} forces are all below {subset.partition('<')[2].strip()}"
    text = f"Over {plural(count, 'structure')}{which}, the {low} and {high} energies per atom correlate with"
    sentences = [
        f"{text} r = {_interval(raw)} as labelled; their mean absolute difference is {error(raw['mae'], 'energy')}."
    ]
    sentences.append(_referencing(raw, relative))
    for quantity, target, name in (
        ("force along the bond", "force", "Forces along the bond"),
        ("force components", "force", "Force components"),
        ("stress components", "stress", "Stress components"),
        ("|magmom|", "magmom", "Magnitudes of the site moments"),
    ):
        if quantity not in rows or not rows[quantity]["n_values"]:
            continue
        if quantity == "force components" and "force along the bond" in rows:
            continue  # a dimer has one independent force; the components dilute it with zeros
        row = rows[quantity]
        sentences.append(
            f"{name} correlate with r = {_interval(row)} and differ by {error(row['mae'], target)} on average."
        )
    return sentences


def _interval(row: pd.Series) -> str:
    if pd.isna(row["pearson"]):
        return "undefined (no spread)"
    if pd.isna(row["pearson_low"]):
        return f"{pearson(row['pearson'])} (no interval: one material)"
    return f"{pearson(row['pearson'])} (95 % interval {pearson(row['pearson_low'])} to {pearson(row['pearson_high'])})"


def _referencing(raw: pd.Series, relative: pd.Series) -> str:
    """State what subtracting each side's own elemental references changes."""
    if pd.isna(relative["pearson"]):
        return (
            "The reference fit leaves no residual (as many references as independent energies), so the referenced "
            "correlation is undefined."
        )
    start = "After subtracting each side's own elemental references, fitted linearly in composition,"
    text = f"{start} r = {_interval(relative)}"
    if relative["mae"] < raw["mae"]:
        share = 100 * (1 - relative["mae"] / raw["mae"])
        text += f" and {error(relative['mae'], 'energy')} of difference remain: references remove {fixed(share, 1)} %"
    else:
        text += f" and the difference is {error(relative['mae'], 'energy')}: references remove nothing"
    if relative["pearson_low"] > raw["pearson_high"]:
        return f"{text}. The correlation rises beyond both intervals."
    if relative["pearson_high"] < raw["pearson_low"]:
        return f"{text}. The correlation falls beyond both intervals."
    return f"{text}. The two intervals of r overlap or are unknown, so no change of the correlation is shown."


def shift_by_element(shift: pd.DataFrame, *, low: str, high: str, limit: float | None = None) -> list[str]:
    """State how the shift high − low varies over the elements.

    Args:
        shift: as from `uprung.labels.energy_shift.element_shift`.
        low: functional of the cheap labels, as printed.
        high: functional of the better labels.
        limit: low-fidelity force below which pairs were fitted, eV/Å; None for all pairs.
    """
    fitted = shift[shift["shift"].notna()]
    if fitted.empty:
        return ["No element's shift could be fitted."]
    alone = fitted["determined"].map(is_true)
    subset = "" if limit is None else f", fitted to the pairs whose {low} forces are all below {limit:g} eV/Å"
    known = fitted[alone].sort_values("shift")
    return [*_range_of_shift(known, f"{high} − {low}", subset), *_tied(fitted[~alone])]


def _range_of_shift(known: pd.DataFrame, which: str, subset: str) -> list[str]:
    """State the range of the shift over the elements that are determined one by one."""
    if known.empty:
        return []
    first, last = known.iloc[0], known.iloc[-1]
    text = f"runs from {fixed(first['shift'], 2)} eV/atom ({first['element']}) to {fixed(last['shift'], 2)} eV/atom"
    sentences = [f"The shift {which} {text} ({last['element']}) over {plural(len(known), 'element')}{subset}."]
    if len(known) >= 5 and known["shift"].std() > 0:
        r = float(known["Z"].corr(known["shift"]))
        words = "nearly monotonic in" if abs(r) > 0.9 else "related to" if abs(r) > 0.5 else "not simply related to"
        sentences.append(f"It is {words} the atomic number (r = {fixed(r, 2)}).")
    return sentences


def _tied(loose: pd.DataFrame) -> list[str]:
    """State which shifts are known in sums only."""
    if loose.empty:
        return []
    return [
        f"Not determined separately, as they occur only in fixed proportion: {listing(part['element'].tolist())}; what "
        f"is determined is {combination}."
        for combination, part in loose.groupby("combination", sort=False)
    ]
