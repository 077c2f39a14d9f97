"""Limits of a study that trains, found from its tables: each is a sentence, and goes when its cause goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from uprung.config.arms import CHECKPOINT
from uprung.config.study import Study
from uprung.models.chosen import card_in, facts_in
from uprung.report.arms import arm_labels, arms_of_each, reference_of
from uprung.report.format import TARGETS, listing, plural
from uprung.report.results import StudyResults, where
from uprung.report.sections.curves import budget_words
from uprung.report.sections.law_limits import law_limits
from uprung.report.sections.references import FILLED, combination_words
from uprung.scaling import LAW_POPULATION


def study_limits(study: Study, results: StudyResults) -> list[str]:
    """Return what a study that trains does not show."""
    curves = results.curves
    return [
        *split_limits(study.split.group, int(where(curves, population="all")["n_test"].max())),
        *pretraining_limits(results.split["pretraining"], study),
        *seed_limits(curves["seed"].nunique()),
        *exclusion_limits(results.split, study.high),
        *convergence_limits(curves),
        *law_limits(results.laws, results.crossover, results.comparison),
        *coverage_limits(curves, results.references),
        *reference_limits(study),
        *target_limits(study.transfer.targets, results.frames[study.high]["labels"]),
        *budget_limits(study, str(results.frames[study.low]["label_scale"])),
    ]


def seed_limits(n_seeds: int) -> list[str]:
    """State what too few seeds leave open."""
    if n_seeds == 1:
        return ["There is one seed: nothing is known about the spread over subsets and initial weights."]
    if n_seeds < 5:
        return [
            f"There are {n_seeds} seeds: ranges over them are no confidence intervals, and equal arms show the same "
            f"order in all of them with probability 1/{2 ** (n_seeds - 1)}."
        ]
    return []


def split_limits(group: str, n_test: int) -> list[str]:
    """State what the test is not, from what the split keeps together, and how large it is."""
    same = "the same for all runs; intervals over seeds do not cover its choice"
    limits = [f"The test set has {plural(n_test, 'structure')}, {same}."]
    if group == "frame":
        limits.insert(
            0,
            "The split cuts through materials: the test interpolates along curves and materials that training has "
            "seen, and says nothing about unseen materials.",
        )
    elif group == "material":
        limits.insert(0, "The split is by material: the same formula or chemical system may be on both sides.")
    return limits


def pretraining_limits(pretraining: Mapping[str, Any], study: Study) -> list[str]:
    """State whether the pretrained network has seen the test materials at its own fidelity."""
    pretrained = study.architecture
    if all(arm.init == "random" for arm in study.arms.values()):
        return []
    others = [checkpoint for name, checkpoint in study.networks.items() if name != "pretrained"]
    further = [f"Whether {listing(others)} learnt from the test materials is unknown."] if others else []
    total, inside = pretraining["test_materials"], pretraining["in_pretraining"]
    if inside is None:
        return [
            f"Whether {pretrained} was pretrained on the test materials is unknown, so the test is held out from the "
            "transfer only. transfer.pretraining_materials names a list of them.",
            *further,
        ]
    return [
        f"{inside:,} of {plural(total, 'test material')} ({100 * inside / max(total, 1):.0f} %) were in the "
        f"pretraining set of {pretrained}, at the source fidelity; for them the test is held out from transfer only.",
        *further,
    ]


def exclusion_limits(split: Mapping[str, Any], fidelity: str) -> list[str]:
    """State that nothing is known where no frame was tested."""
    counts = {c["split"]: c["frames"] for c in split["counts"] if c["fidelity"] == fidelity}
    excluded, total = counts.get("excluded", 0), sum(counts.values())
    if not excluded:
        return []
    reasons = pd.Series([e["reason"] for e in split["excluded"] if e["fidelity"] == fidelity]).value_counts()
    named = [f"{reason} ({number:,})" for reason, number in reasons.head(4).items()]
    if len(reasons) > 4:
        named.append(f"{plural(len(reasons) - 4, 'other reason')}")
    return [
        f"{excluded:,} of {total:,} frames take part neither in training nor in the test: {listing(named)}. "
        "Errors there are unknown."
    ]


def convergence_limits(curves: pd.DataFrame) -> list[str]:
    """Say where many runs enter no law, so that the budget and not the data decides."""
    here = curves[curves["population"] == LAW_POPULATION]
    shares = here.groupby(["budget", "target"])["converged"].mean()
    return [
        f"Under the budget {budget}, {100 * (1 - share):.0f} % of the runs enter no law in "
        f"{TARGETS[target][0]}: their errors reflect the length of training as much as the data."
        for budget, target, share in shares.reset_index().itertuples(index=False, name=None)
        if share < 0.75
    ]


def coverage_limits(curves: pd.DataFrame, references: pd.DataFrame) -> list[str]:
    """State which share of the test the laws use, and where the reference of an element is not fitted."""
    limits = []
    means = curves.groupby("population")["n_test"].mean()
    if LAW_POPULATION in means and means[LAW_POPULATION] < means["all"]:
        limits.append(
            f"Curves and laws are drawn for the {means[LAW_POPULATION]:,.0f} of {means['all']:,.0f} test frames that "
            "are covered: every seed saw their elements at the smallest size. For the others some references come from "
            "the prior."
        )
    return [*limits, *_guessed(references), *_tied(references)]


def _guessed(references: pd.DataFrame) -> list[str]:
    """State for how many elements the structures of some fit say nothing."""
    unseen = references[references["origin"].isin(FILLED) & (references["n_structures"] == 0)]
    if unseen.empty:
        return []
    counts = unseen.groupby(["reference", "size"]).size()
    reference, size = counts.index[int(counts.to_numpy().argmax())]
    return [
        f"Up to {plural(int(counts.max()), 'element')} of the study (reference {reference}, n = {size}) had no "
        "training structure; the reference there comes from the source, as a rule with a shift smooth in the "
        "atomic number."
    ]


def _tied(references: pd.DataFrame) -> list[str]:
    """State which elements had training structures that do not tell their references apart, and what is determined."""
    seen = references[references["origin"].isin(FILLED) & (references["n_structures"] > 0)]
    if seen.empty:
        return []
    counts = seen.groupby(["reference", "size"]).size()
    reference, size = counts.index[int(counts.to_numpy().argmax())]
    own = seen[(seen["reference"] == reference) & (seen["size"] == size)]
    text = f"{plural(len(own), 'element')} (reference {reference}, n = {size}) had training structures"
    return [f"{text}, but none that determine them one by one: {combination_words(own)}."]


def reference_limits(study: Study) -> list[str]:
    """State which arms use more labels than their size says."""
    fits = {label: reference_of(study, name) for name, label in arm_labels(study).items()}
    more = [label for label, fit in fits.items() if fit and fit.scope == "train"]
    if not more:
        return []
    verb = "uses" if len(more) == 1 else "use"
    return [
        f"{listing(more)} {verb} reference energies fitted to the whole training split at every size: more energy "
        "labels than n."
    ]


def target_limits(targets: Sequence[str], labels: Mapping[str, int]) -> list[str]:
    """State which targets are neither trained nor tested.

    Args:
        targets: of the loss.
        labels: label column of the target fidelity -> number of frames that have it.
    """
    columns = {"energy": "energy", "force": "forces", "stress": "stress_gpa", "magmom": "magmom"}
    limits = []
    untrained = [t for t in TARGETS if t not in targets]
    without = [TARGETS[t][0] for t in untrained if not labels.get(columns[t])]
    unused = [TARGETS[t][0] for t in untrained if labels.get(columns[t])]
    if without:
        limits.append(f"No labels of {listing(without, 'or')}: nothing is trained on or tested for it.")
    if unused:
        limits.append(f"Labels of {listing(unused)} exist, but the study does not train on them.")
    return limits


def budget_limits(study: Study, low_scale: str) -> list[str]:
    """State what one kind of budget, one network and one checkpoint cannot show."""
    limits = []
    if len(study.budgets) == 1 and study.longer is None:
        length = budget_words(next(iter(study.budgets.values()))).split(";")[0]
        limits.append(f"There is one training budget ({length}); longer training may change the order of the arms.")
    return [*limits, *_recipe_limits(study), *_scale_limits(study, low_scale)]


def _recipe_limits(study: Study) -> list[str]:
    titles = list(dict.fromkeys(card_in(study, checkpoint).title for checkpoint in arms_of_each(study)))
    if len(titles) == 1:
        return [f"One architecture ({titles[0]}) and one recipe for all arms, not tuned for any of them."]
    return [
        f"{listing(titles)} differ in what their checkpoints learnt (data, label scale, functional) as well as in the "
        "network, so that a difference between them says nothing of the architecture alone. One recipe for all, not "
        "tuned for any of them."
    ]


def _scale_limits(study: Study, low_scale: str) -> list[str]:
    """State for every checkpoint that something starts from which labels it learnt, and what keeps its references."""
    limits, labels = [], arm_labels(study)
    for checkpoint, arms in arms_of_each(study).items():
        facts = facts_in(study, checkpoint)
        if facts is None or all(study.arms[name].init != "pretrained" for name in arms):
            continue
        limits.append(
            f"The checkpoint {checkpoint} learnt {facts.label_scale} ({facts.functional}); the low fidelity of this "
            f"study is on the scale “{low_scale}”, so that the checkpoint is not a model of it."
        )
        if caveat := card_in(study, checkpoint).caveats.get(checkpoint):
            limits.append(f"{checkpoint} {caveat}.")
        kept = [
            labels[name]
            for name in arms
            if study.arms[name].references == CHECKPOINT and not study.arms[name].references_trainable
        ]
        if kept:
            verb = "keeps" if len(kept) == 1 else "keep"
            limits.append(
                f"{listing(kept)} {verb} the reference energies of {checkpoint} unchanged, on that scale: what "
                "separates it from the scale of the target the network itself has to learn."
            )
    return limits
