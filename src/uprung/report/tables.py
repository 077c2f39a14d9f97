"""Tables of the page as plain text: what the data are, how they were split, how the study was made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from uprung.report.format import NONE, amount, count, error, fixed, listing, pearson, plural
from uprung.report.study import Arm, Pair


@dataclass(frozen=True)
class Cell:
    """Text of a cell with a second, smaller line and a style: '', 'best', 'hollow' or 'best hollow'."""

    text: str
    note: str = ""
    style: str = ""


@dataclass(frozen=True)
class Table:
    """A table as printed. Columns named in `text` are aligned left, the others right."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    text: int = 1  # leading columns of text
    last_text: bool = False  # whether the last column is text, too


LABELS = {"energy": "energy", "forces": "force", "stress_gpa": "stress", "magmom": "moment"}


def frames_table(frames: Mapping[str, Mapping[str, Any]], functionals: Mapping[str, str]) -> Table:
    """Return what was read for every fidelity, and what became of it.

    Args:
        frames: fidelity -> manifest of its frames.
        functionals: fidelity -> functional as printed.
    """
    rows = [
        (
            Cell(name, functionals[name]),
            Cell(str(facts["label_scale"]), f"energy label: {facts.get('energy_label', 'energy')}"),
            count(facts["read"]),
            count(sum(facts["left_out"].values())),
            count(len(facts["rejected"])),
            count(facts["written"]),
            count(len(facts["elements"])),
            ", ".join(
                f"{word} {count(facts['labels'][key])}" for key, word in LABELS.items() if facts["labels"].get(key)
            ),
        )
        for name, facts in frames.items()
    ]
    return Table(
        "Structures per fidelity. Read = left out by the study file + rejected for their labels + written. Each "
        "fidelity has one functional and one label scale. The last column counts structures with each kind of label.",
        ["fidelity", "label scale", "read", "left out", "rejected", "written", "elements", "labels"],
        rows,
        text=2,
        last_text=True,
    )


def left_out_words(facts: Mapping[str, Any]) -> list[str]:
    """Return why structures of a fidelity were left out or rejected, with counts; elements in one phrase."""
    elements = {k.removeprefix("element "): v for k, v in facts["left_out"].items() if k.startswith("element ")}
    words = [f"{count(v)}: {k}" for k, v in facts["left_out"].items() if not k.startswith("element ")]
    if elements:
        total = sum(elements.values())
        words.insert(0, f"{plural(total, 'structure')} of excluded elements ({', '.join(elements)})")
    return words + reason_words([record["reason"] for record in facts["rejected"]], "rejected")


def reason_words(reasons: Sequence[str], what: str) -> list[str]:
    """Return the most frequent reasons with counts; those that differ in numbers alone are one, with an example."""
    kinds: dict[str, list[str]] = {}
    for reason in reasons:
        kinds.setdefault(re.sub(r"\d+(\.\d+)?(e[-+]?\d+)?", "#", reason), []).append(reason)
    most = sorted(kinds.values(), key=len, reverse=True)
    words = [
        f"{plural(len(alike), 'structure')} {what}{', for example' if len(set(alike)) > 1 else ''}: {alike[0]}"
        for alike in most[:5]
    ]
    if len(most) > 5:
        words.append(f"{plural(len(most) - 5, 'further reason')} in the manifest")
    return words


def validation_words(facts: Mapping[str, Any]) -> list[str]:
    """Return what a validator said about the calculations of a fidelity, one phrase per validated source."""
    words = []
    for found in (reader.get("validation") or {} for reader in facts.get("readers", [])):
        if not found.get("calculations"):
            continue
        most = ", ".join(f"{what} in {count(n)}" for what, n in list(found["findings"].get("invalid", {}).items())[:5])
        words.append(
            f"{found['by']} calls {count(found['invalid'])} of {plural(found['calculations'], 'calculation')} invalid"
            f"{f' ({most})' if most else ''} and {count(found['valid'])} valid, and finds nothing wrong with "
            f"{count(found['partly checked'])} that could be checked in part"
        )
    return words


def pairs_table(pairs: Mapping[str, Pair], facts: Mapping[str, Mapping[str, Any]], transfer: str) -> Table:
    """Return which fidelities are compared, and how many structures they share."""
    rows = []
    for name, pair in pairs.items():
        found = facts[name]
        match = "same geometry" if found["match"] == "geometry" else "same material"
        rows.append(
            (
                Cell(name, "trained on" if name == transfer else "analysed only"),
                f"{pair.low} → {pair.high}",
                match,
                count(found["pairs"]),
                count(len(found["unpaired_low"])),
                count(len(found["unpaired_high"])),
                pair.note or NONE,
            )
        )
    return Table(
        "Pairs of fidelities: structures that both label, and those that only one of them does (low or high). Unpaired "
        "structures take no part in the comparison of labels.",
        ["pair", "low → high", "match", "pairs", "only low", "only high", "note"],
        rows,
        text=3,
        last_text=True,
    )


def split_table(split: Mapping[str, Any], group: str) -> Table:
    """Return frames and groups per fidelity and side of the split."""
    counts = {(c["fidelity"], c["split"]): c for c in split["counts"]}
    fidelities = list(dict.fromkeys(c["fidelity"] for c in split["counts"]))
    sides = ("train", "val", "test", "excluded")
    rows = []
    for name in fidelities:
        cells = [counts.get((name, side), {"frames": 0, "groups": 0}) for side in sides]
        same = all(c["frames"] == c["groups"] for c in cells)
        rows.append(
            (name, *(Cell(count(c["frames"]), "" if same else f"{c['groups']:,} groups") for c in cells)),
        )
    return Table(
        f"Frames per side of the split (kept together: {group.replace('_', ' ')}). The assignment binds both "
        "fidelities of the transfer.",
        ["fidelity", "training", "validation", "test", "excluded"],
        rows,
    )


def exclusion_table(split: Mapping[str, Any]) -> Table | None:
    """Return why frames take no part in training and test; None where all do."""
    excluded = pd.DataFrame(split["excluded"], columns=["fidelity", "frame_id", "reason"])
    if excluded.empty:
        return None
    counts = excluded.pivot_table(index="reason", columns="fidelity", values="frame_id", aggfunc="count", fill_value=0)
    rows = [(str(reason), *(count(n) for n in row)) for reason, row in counts.iterrows()]
    return Table(
        "Frames excluded from training, validation and test, by reason.", ["reason", *map(str, counts.columns)], rows
    )


def sizes_table(sizes: pd.DataFrame) -> Table:
    """Return what every training-set size holds, as a range over seeds."""
    rows = []
    for size, part in sizes.groupby("size", sort=False):
        cells = []
        for column in ("n_frames", "n_materials", "n_elements"):
            low, high = int(part[column].min()), int(part[column].max())
            cells.append(count(low) if low == high else f"{low:,}–{high:,}")
        rows.append((str(size), *cells))
    return Table(
        f"Nested training subsets: what each size holds (range over {plural(sizes['seed'].nunique(), 'seed')}).",
        ["size", "frames", "materials", "elements"],
        rows,
    )


def correlation_table(correlation: pd.DataFrame, *, low: str, high: str) -> Table:
    """Return the agreement of two fidelities' labels, quantity by quantity."""
    scales = {"eV/atom": ("energy", "meV/atom"), "eV/Å": ("force", "meV/Å"), "GPa": ("stress", "GPa")}
    rows = []
    for _, row in correlation[correlation["n_values"] > 0].iterrows():
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


REFERENCES = {
    "": "the checkpoint's",
    "target": "fitted to target energies",
    "source": "fitted to low-fidelity energies",
    "residual": "fitted to target minus pretrained prediction",
}


def arms_table(arms: Mapping[str, Arm]) -> Table:
    """Return the arms and what sets them apart."""
    options = any(arm.options for arm in arms.values())
    scope = {"": NONE, "subset": "the run's own n labels", "train": "whole training split (more than n labels)"}
    rows = [
        (
            Cell(arm.label, arm.name if arm.name != arm.label else ""),
            arm.init if arm.init in ("random", "pretrained") else f"{arm.init}, pretrained in this study",
            REFERENCES[arm.fitted_to],
            scope[arm.scope],
            "yes" if arm.trainable else "no",
            *(["; ".join(arm.options) or NONE] if options else []),
        )
        for arm in arms.values()
    ]
    return Table(
        "The arms of the study. The reference energy of a structure is its composition times elemental values; the "
        "network learns the rest.",
        ["arm", "initial weights", "reference energies", "labels they use", "references trained"]
        + (["further"] if options else []),
        rows,
        text=6 if options else 5,
    )


def references_table(references: pd.DataFrame) -> Table:
    """Return for every reference and size how many elements were fitted or guessed, and how well they are known."""
    rows = []
    for (name, size), part in references.groupby(["reference", "size"], sort=False):
        filled = part["origin"].isin(["prior", "source"])
        fit, prior = part[~filled], part[filled]
        known = fit["stderr"].dropna()
        guessed = prior["stderr"].dropna()
        rows.append(
            (
                str(name),
                str(size),
                ", ".join(sorted(set(part["estimator"]))),
                count(len(fit)),
                count(len(prior)),
                Cell(amount(1e3 * known.median()) if len(known) else NONE, f"{len(known)} of {len(fit)} known"),
                amount(1e3 * guessed.median()) if len(guessed) else NONE,
            )
        )
    return Table(
        "Reference fits of the first seed. Elements without a training structure take a value from the prior: source "
        "reference (the checkpoint's for a residual fit) plus a shift smooth in the atomic number. Standard errors in "
        "meV/atom are medians over elements, clustered by material; they are unknown for an element that occurs in "
        "one material only.",
        ["reference", "size", "estimator", "fitted", "from prior", "std error, fitted", "std error, prior"],
        rows,
        text=3,
    )


def reference_errors_table(summary: pd.DataFrame, baseline: str) -> Table:
    """Return what references alone predict at the smallest and the largest size, for both test populations."""
    frames = summary.groupby("size")["n_frames"].mean().sort_values()
    ends = list(dict.fromkeys((str(frames.index[0]), str(frames.index[-1]))))
    n_test = summary.groupby("population")["n_test"].first()
    shown = [(population, size) for population in n_test.index for size in ends]
    rows = []
    for name, part in summary.groupby("reference", sort=False):
        at = [part[(part["population"] == population) & (part["size"] == size)] for population, size in shown]
        cells = [_error_cell(here, str(name) == baseline) for here in at]
        rows.append((Cell(str(name), part["estimator"].to_numpy()[0]), *cells))
    n_groups = summary.groupby("population")["n_groups"].first()
    counts = [
        f"{n_test[p]:,} {'test' if p == 'all' else 'covered'} structures ({plural(int(n_groups[p]), 'group')})"
        for p in n_test.index
    ]
    return Table(
        f"Mean absolute error of reference energies alone, eV/atom, mean over seeds; under it the ratio to {baseline} "
        f"with its paired 95 % interval over test groups. {listing(counts)}; covered are those whose elements every "
        "seed saw at the smallest size.",
        ["reference", *(f"{population}, n = {frames[size]:,.0f}" for population, size in shown)],
        rows,
    )


def _error_cell(rows: pd.DataFrame, is_baseline: bool) -> Cell:
    if rows.empty or not rows["mae"].notna().all():
        return Cell(NONE, "no fit")
    row = rows.iloc[0]
    if is_baseline or pd.isna(row["ratio"]):
        return Cell(amount(row["mae"]))
    ratio, low, high = (amount(row[name]) for name in ("ratio", "ratio_low", "ratio_high"))
    return Cell(amount(row["mae"]), f"{ratio} ({low} to {high})")
