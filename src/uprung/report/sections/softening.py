"""Softening: size of the predicted forces on every evaluation set, and its correction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pandas as pd

from uprung.config.study import Study
from uprung.models.shipped import CARDS
from uprung.report.arms import arm_labels, functional_of
from uprung.report.blocks import Block, Cell, Details, Heading, Row, Sentences, Table, Text, picture
from uprung.report.catalogue import evalsets_of
from uprung.report.format import NONE, amount, count, error, fixed, functional, plural
from uprung.report.results import StudyResults, where
from uprung.report.sections.data import left_out_words, reason_words
from uprung.softening.force_correction import NUMBER, PER_ELEMENT, TRAINING
from uprung.softening.slopes import POOLED, TOO_FEW, fraction_softened
from uprung.softening.softest import made_worse, of_checkpoints

RESAMPLES = 1000
#: Networks up to which each is told in words; of more, the table tells enough.
FEW = 3
#: Method of correction -> its name in a sentence.
METHODS = {NUMBER: "one number", PER_ELEMENT: "one number per element", TRAINING: "fine-tuning"}
#: Method of correction -> what it does to the forces, in a caption.
EFFECTS = {
    NUMBER: "one number multiplies the forces",
    PER_ELEMENT: "one number per element multiplies the energies of its atoms",
    TRAINING: "the whole network is trained on the labelled structures (energies after a shift of the reference "
    "energies; fewer draws, and no networks of the study)",
}


def section(study: Study, results: StudyResults) -> Iterator[Block]:
    """Yield the section."""
    yield Text(
        "A slope below 1 is no proof: minimising the squared error shrinks what cannot be predicted. Forces count as "
        "too soft where larger ones fit better: c* is above 1 by its interval."
    )
    yield Sentences(comparison(results.softening, {name: functional_of(study, name) for name in evalsets_of(study)}))
    labels, budget = arm_labels(study), next(iter(study.budgets))
    for name, table in results.softening.items():
        yield Heading(name, f"softening-{name}")
        yield Sentences(not_judged(results.evalsets[name], results.evalsets_left_out[name]))
        words = [Sentences([*findings(table), *corrections(results.corrections[name])])]
        folded = len(set(of_checkpoints(table)["model"])) > FEW
        yield from [Details("Every network in words", words)] if folded else words
        yield softening_table(table, labels, budget=budget, title=f"evaluation set {name}")
        effects = "; ".join(EFFECTS[method] for method in dict.fromkeys(results.corrections[name]["method"]))
        several = len(set(where(table, model="run")["size"])) > 1
        for kind in ("", "-structures", "-parity", "-correction", *(["-sizes"] if several else [])):
            yield picture(results.figures, f"softening-{{evalset}}{kind}", evalset=name, methods=effects)


def softening_table(table: pd.DataFrame, labels: Mapping[str, str], *, budget: str, title: str) -> Table:
    """Return the softening of every checkpoint, and of every arm at its largest size as a mean over seeds.

    Args:
        table: of `uprung.softening.slopes.softening_table` with the columns model, budget, arm, seed, n_frames_trained.
        labels: arm -> name as printed.
        budget: whose runs are shown.
        title: of the evaluation set.
    """
    rows: list[Row] = []
    for name, models in _models(table, labels, budget).items():
        medians, shares, pooled = [], [], []
        for _, part in models.groupby("seed", sort=False):
            own = part[part["material"] != POOLED]
            medians.append(float(own["slope"].median()))
            shares.append(fraction_softened(part, resamples=RESAMPLES, seed=0))
            pooled.append(part.iloc[-1])
        found = pd.DataFrame(pooled).mean(numeric_only=True)
        share = pd.DataFrame(shares).mean()
        few = f"{fixed(100 * share['low'], 0)}–{fixed(100 * share['high'], 0)} %" if share["materials"] > 2 else ""
        interval = f"{fixed(found['slope_low'], 3)} to {fixed(found['slope_high'], 3)}"
        rows.append(
            [
                name,
                fixed(sum(medians) / len(medians), 3),
                Cell(f"{fixed(100 * share['share'], 0)} %", few),
                Cell(fixed(found["slope"], 3), interval if NONE not in interval else ""),
                fixed(found["r2"], 3),
                fixed(found["multiplier"], 3),
                error(found["mae"], "force", units=False),
                error(found["cmae"], "force", units=False),
                _readings(pooled),
            ]
        )
    size = table["n_frames_trained"].max()
    runs = f"; arms at n = {size:,.0f}, mean over {plural(_seeds(table), 'seed')}" if size == size else ""
    return Table(
        f"Forces on {title}{runs}. Slopes of predicted on labelled components through the origin: their median over "
        "materials, the share of materials below 1, and that of all components together with its 95 % bootstrap "
        "interval over materials (over trajectories where there is one material); c* is the multiplier of the "
        "predicted forces that minimises the squared error; cMAE is the error after division by the slope (meV/Å).",
        ["model", "median slope", "below 1", "all forces", "R²", "c*", "MAE", "cMAE", "all forces together"],
        rows,
        last_text=True,
    )


def not_judged(facts: Mapping[str, Any], left_out: Mapping[str, Any]) -> list[str]:
    """Return which structures of an evaluation set are not tested and why, nothing when all are.

    Args:
        facts: manifest of its frames.
        left_out: frames without a graph, as `left_out.json` lists them.
    """
    without = [record["reason"] for record in left_out["left_out"]]
    lost = int(facts["read"] - facts["written"]) + len(without)
    if not lost:
        return []
    words = [*left_out_words(facts), *reason_words(without, "left out")]
    return [f"{count(lost)} of {plural(int(facts['read']), 'structure')} are not tested: {'; '.join(words)}."]


def findings(table: pd.DataFrame) -> list[str]:
    """Return what the checkpoints' slopes say, by material."""
    whole = of_checkpoints(table)
    said = []
    for name, own in whole.groupby("model", sort=False):
        soft = int((own["reading"] == "too soft").sum())
        shrunk = int(own["reading"].str.startswith("slope below 1").sum())
        few = int((own["reading"] == TOO_FEW).sum())
        words = (
            f"{name}: over {plural(len(own), 'material')} the median slope is "
            f"{amount(float(own['slope'].median()))}, the range {amount(float(own['slope'].min()))} to "
            f"{amount(float(own['slope'].max()))}; in {soft} the forces are clearly too soft (slope below 1 "
            "and c* above 1 by their intervals)"
        )
        if shrunk:
            words += f", in {shrunk} the slope is below 1 but may be the shrinkage of a calibrated predictor"
        if few:
            words += f", {few} have too few frames for an interval"
        worse = made_worse(own)
        words += "."
        if len(worse):
            shown = worse.iloc[0]
            words += (
                f" Division by the slope makes {plural(len(worse), 'material')} worse (most in {shown['material']}: "
                f"MAE {error(shown['mae'], 'force', units=False)}, cMAE {error(shown['cmae'], 'force')}): cMAE is an "
                "estimate, not a bound."
            )
        said.append(words)
    return said


def corrections(table: pd.DataFrame) -> list[str]:
    """Return what few labelled structures do to the checkpoints' forces, by method, at the largest k that was possible.

    Args:
        table: of `uprung.softening.force_correction.correction_table` with the column model.
    """
    known = table[(table["model"] != "run") & (table["reason"] == "")]
    said = []
    for name, own in known.groupby("model", sort=False):
        k = int(own["shots"].max())
        parts = []
        for method, part in own[own["shots"] == k].groupby("method", sort=False):
            ratio, against = part["mae_ratio"], float(part["mae_to_number"].median())
            middle, low, high = (fixed(float(value), 2) for value in (ratio.median(), ratio.min(), ratio.max()))
            words = (
                f"{METHODS[str(method)]} multiplies the MAE by {middle} (median over "
                f"{plural(len(part), 'material')}, {low} to {high}; {plural(int(part['draws'].max()), 'draw')}) and "
                f"brings the median slope to {fixed(float(part['slope_after'].median()), 2)}"
            )
            if method != NUMBER and against == against:
                words += f"; that is {fixed(against, 2)} of the MAE after one number on the same draws"
            parts.append(words)
        said.append(f"{name}, fitted to {plural(k, 'structure')} of a material: " + "; ".join(parts) + ".")
    return said


def comparison(tables: Mapping[str, pd.DataFrame], functionals: Mapping[str, str]) -> list[str]:
    """Return how shipped checkpoints compare with those that they were transferred from, with candidate causes.

    Args:
        tables: evaluation set -> table, see `softening_table`.
        functionals: evaluation set -> functional of its labels as printed.
    """
    slopes = {name: _checkpoint_slopes(table) for name, table in tables.items()}
    checkpoints = {name: found for card in CARDS.values() for name, found in card.checkpoints.items()}
    said, softer = [], False
    for new, found in checkpoints.items():
        old = found.transferred_from
        both = {name: table for name, table in slopes.items() if {old, new} <= set(table)}
        for name, table in both.items():
            lower, text = _softer(table[old], table[new])
            softer |= lower
            said.append(f"On {name} ({functionals[name]} labels) {new} is softer than {old} in {text}.")
        for a, b in product(both, both):
            own = [functional(checkpoints[name].functional) for name in (old, new)]
            if [functionals[a], functionals[b]] == own and set(both[a].index) == set(both[b].index):
                _, text = _softer(both[a][old], both[b][new])
                said.append(
                    f"Each tested on labels of its own functional ({old} on {a}, {new} on {b}), the latter is softer "
                    f"in {text}."
                )
    if softer:
        said.append(
            "Why the published transfer softened the forces is unknown. Hypotheses that this table cannot tell apart: "
            "fewer frames, nearer to equilibrium, in the r²SCAN set; forgetting of the distorted "
            "frames that the pretraining saw; energies that weigh more than forces in the loss of the transfer."
        )
    return said


def _checkpoint_slopes(table: pd.DataFrame) -> pd.DataFrame:
    whole = of_checkpoints(table)
    return whole.pivot_table(index="material", columns="model", values="slope", sort=False).dropna()


def _softer(first: pd.Series, second: pd.Series) -> tuple[bool, str]:
    """Return whether the second is softer in most materials, and in how many in words."""
    lower = int((second < first.reindex(second.index)).sum())
    medians = f"{fixed(float(second.median()), 3)} against {fixed(float(first.median()), 3)}"
    return lower > len(second) / 2, f"{lower} of {plural(len(second), 'material')} (median slope {medians})"


def _models(table: pd.DataFrame, labels: Mapping[str, str], budget: str) -> dict[str, pd.DataFrame]:
    whole = table[table["subset"] == "all"]
    found = {str(name): part for name, part in whole[whole["model"] != "run"].groupby("model", sort=False)}
    runs = whole[(whole["model"] == "run") & (whole["budget"] == budget)]
    largest = runs[runs["n_frames_trained"] == runs["n_frames_trained"].max()]
    return found | {
        label: largest[largest["arm"] == arm] for arm, label in labels.items() if arm in set(largest["arm"])
    }


def _seeds(table: pd.DataFrame) -> int:
    return int(table.loc[table["model"] == "run", "seed"].nunique())


def _readings(pooled: list[pd.Series]) -> str:
    words = [str(row["reading"]) for row in pooled]
    return words[0] if len(set(words)) == 1 else "; ".join(f"{w} ({words.count(w)})" for w in dict.fromkeys(words))
