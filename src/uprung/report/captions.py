"""Captions of the page's figures, written to be read without the text around them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from uprung.scaling import LAW_POPULATION

REFERENCES = (
    "Elemental reference energies per atom against the atomic number, and their differences from the first one shown, "
    "for every reference fit at the largest and the smallest training-set size of the first seed. Filled marks are "
    "fitted, hollow ones come from the prior for elements without a training structure; bars are 1.96 standard errors "
    "where these are known."
)

GIVEN_CURVES = (
    "Learning curves: error against the number of training structures, both logarithmic. Each mark is a run, filled "
    "where it takes part in laws; dotted lines join the means over seeds, full lines with a band are fitted laws with "
    "their 95 % band."
)
LAW_COMPARISON = (
    "Laws compared: errors of the runs and all fitted laws, divided by the power law, for every curve that has laws. "
    "The grey band is the 95 % band of the power law; the law taken is named above each panel."
)
BUDGETS = (
    "Learning curves under all budgets: means over seeds, bars from the lowest to the highest, line style by budget. "
    "Filled where every run is converged. Between two budgets of one arm the data are the same and the optimiser steps "
    "differ; along a curve of a budget in steps only the data differ, along one in epochs both."
)
DATA_MULTIPLIER = (
    "Data multiplier as a function of the training size of each arm: how many times more labels the arm without "
    "pretraining needs for the same error, by the fitted laws, with 95 % bands. Thin lines: outside the sizes at which "
    "that arm was measured."
)


REFERENCE_ERRORS = (
    "What reference energies alone predict on held-out structures, against the size of the subset that they are fitted "
    "to: means over seeds. Left, mean absolute error; bars are the range over seeds. Right, its change against the "
    "baseline on structures whose elements every seed saw at the smallest size; bars are the 95 % interval of a "
    "bootstrap over test groups that all fits share. Marks of one size are set apart sideways."
)
ERRORS_BY_FORCE = (
    "Force errors at the largest training-set size against the size of the labelled force, all seeds together: mean "
    "absolute error of a component, and the slope of predicted on labelled components through the origin. A slope "
    "below 1 means that the network is too soft there; none is given below 0.1 eV/Å."
)
PARITY = (
    "Predicted against labelled energies of the test frames at the largest training-set size, first seed, a panel per "
    "arm. The dashed line is equality; frames with elements that the run has not seen are included."
)


def shift(kind: str, pair: str, low: str, high: str) -> str:
    """Return the caption of one figure about the energy shift of a pair."""
    return {
        "energy": f"Energies per atom of the same structures in {low} and {high} ({pair}). As labelled, and minus each "
        "side's own least-squares elemental references; colour is the mean atomic number, the dashed line is equality.",
        "labels": f"Other labels of the same structures in {low} and {high} ({pair}), value by value. Darker cells "
        "hold more values; the dashed line is equality.",
        "shift": f"Energy shift {high} − {low} per element ({pair}) from a least-squares fit in composition. Bars are "
        "95 % intervals, clustered by material where an element occurs in several materials.",
        "elements": f"Energy shift {high} − {low} per element ({pair}) in the periodic table, in eV/atom. Elements "
        "without data are white.",
        "importance": f"Elements that decide where the formation energies of {high} and {low} differ ({pair}). "
        "Impurity importance in a regression tree on composition, divided by the number of atoms of the element and "
        "rescaled to sum 1.",
    }[kind]


def learning_curves(published: bool) -> str:
    """Return the caption of the learning curves."""
    text = (
        "Learning curves: test error against the number of labelled training structures, both logarithmic, on the test "
        "frames whose elements every seed saw at the smallest size. Each mark is a run, filled where converged and "
        "hollow where not; dotted lines join the means over seeds, full lines with a band are fitted laws with "
        "their 95 % band, the dashed grey line is the predictor that learns nothing about geometry."
    )
    if published:
        text += " Grey crosses are the published study's points, from other data: only their slopes compare."
    return text


def convergence(budget: str) -> str:
    """Return the caption of the training histories."""
    return (
        f"Validation error along every run of the budget {budget} against the optimiser step, a column per "
        "training-set size and a line per run. A line that still falls at its end belongs to an unconverged run."
    )


BEFORE_AFTER = (
    "Validation error after training against the error before it, of arms that start from networks pretrained "
    "differently, both logarithmic. Before its first step an arm is the pretrained network with the arm's reference "
    "energies. Each mark is a run, larger at larger training sets; below the dashed line training made the "
    "error smaller."
)


def forgetting(low: str, high: str) -> str:
    """Return the caption of what the networks forgot."""
    return (
        f"Error at the target fidelity ({high}) against the error on held-out frames of the source ({low}); lower left "
        "is better at both. Small marks are runs, a line joins the means of an arm and its marks grow with the "
        "training-set size. Energies of the source are compared after what is linear in composition was taken away. "
        "The dashed line is the pretrained checkpoint before any transfer."
    )


def dynamics(budget: str) -> str:
    """Return the caption of the gradients."""
    return (
        f"Norm of the gradient in every layer along the runs of the budget {budget} at the largest training-set size, "
        "mean over seeds. A layer that an arm does not train has no line."
    )


#: Method of correction -> what it does to the forces.
METHODS = {
    "number": "one number multiplies the forces",
    "per-element": "one number per element multiplies the energies of its atoms",
    "training": "the whole network is trained on the labelled structures (energies after a shift of the reference "
    "energies; fewer draws, and no networks of the study)",
}


def softening(kind: str, name: str, methods: Sequence[str]) -> str:
    """Return the caption of one figure about the softening on an evaluation set.

    Args:
        kind: of the figure.
        name: of the evaluation set.
        methods: of correction.
    """
    return {
        "": f"Slope of predicted on labelled forces by material on {name}, checkpoints and arms at the largest size "
        "(means over seeds). Below the dashed 1 forces are too small. Bars are 95 % bootstrap intervals over frames; "
        "of more than twelve materials the share below each slope is drawn, without the outermost slopes.",
        "-parity": f"Predicted against labelled force components on {name}; darker cells hold more values, the dashed "
        "line is equality, the full line the slope through the origin. Arms: the largest size, first seed.",
        "-correction": f"Forces on {name} after a correction that is fitted to a few labelled structures of a material "
        f"and judged on structures of other trajectories: {'; '.join(METHODS[method] for method in methods)}. Marks "
        "are medians over materials of means over draws, bars hold the materials between the quartiles; the dotted "
        "line is the MAE after division by the slope of the judged structures themselves.",
        "-sizes": f"Slope of the forces on {name} (median over materials) against the training-set size. Small marks "
        "are runs, lines join means over seeds, grey lines are the checkpoints.",
    }[kind]


def populations(curves: pd.DataFrame) -> dict[str, str]:
    """Return how each test population is called, with its number of frames."""
    n = curves.groupby("population")["n_test"].mean()
    words = {
        "all": "all test frames",
        LAW_POPULATION: "test frames whose elements every seed saw at the smallest size",
    }
    called = {str(name): words.get(str(name), str(name)) for name in n.index}
    return {
        name: f"{called[name]} ({value:,.0f} frames)" if math.isfinite(value) else "given points"
        for name, value in zip(called, n, strict=True)
    }


def split_words(group: str, draw: str, shares: str) -> str:
    """Say how the split was made, and what kind of test that is."""
    keyed = f"Frames are assigned to training, validation and test ({shares}) by a keyed hash"
    kept = {"material": "of their material", "formula": "of their formula"}.get(
        group, "of their chemical system" if group == "chemical_system" else "of the frame itself"
    )
    drawn = "materials" if draw == "material" else "frames"
    text = f"{keyed} {kept}, on the same side in both fidelities. Subsets are nested: each seed orders the training "
    text += f"{drawn} at random, and every size is a prefix of that order."
    if group == "frame":
        text += (
            " Frames of one material are on both sides of this split: the test is an interpolation along known curves "
            "and materials, not a prediction for new materials."
        )
    return text
