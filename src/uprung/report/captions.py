"""Figures of a study: name, content, caption. Read by the rules, the report and the docs.

A name may hold wildcards: `{pair}-energy`. A caption is written to be read without the text around it.
`python -m uprung.report.captions docs` lists tables and figures in `docs/results.md`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from uprung.report.catalogue import FILES, POINTS, expanded

if TYPE_CHECKING:
    from uprung.config.study import Study


@dataclass(frozen=True)
class FigureFile:
    """A figure `figures/<name>.svg`, its PNG beside it. `caption` is printed on the page and may hold fields."""

    about: str
    category: str
    caption: str


FIGURES: dict[str, FigureFile] = {
    "{pair}-energy": FigureFile(
        "energies",
        "Energy shift",
        "Energies per atom of the same structures in {low} and {high} ({pair}), on {subset}. As labelled, and minus "
        "each side's own least-squares elemental references, fitted on the same pairs; colour is the mean atomic "
        "number, the dashed line is equality.",
    ),
    "{pair}-labels": FigureFile(
        "forces, stresses, moments",
        "Energy shift",
        "Other labels of the same structures in {low} and {high} ({pair}), value by value, on {subset}. Darker cells "
        "hold more values; the dashed line is equality.",
    ),
    "{pair}-shift": FigureFile(
        "shift by element",
        "Energy shift",
        "Energy shift {high} − {low} per element ({pair}) from a least-squares fit in composition to {subset}. Bars "
        "are 95 % intervals, clustered by material; for an element of one material they treat its structures as "
        "independent and hold for that material alone. Hollow: not determined by itself.",
    ),
    "{pair}-elements": FigureFile(
        "periodic table",
        "Energy shift",
        "Energy shift {high} − {low} per element ({pair}) in the periodic table, in eV/atom, fitted to {subset}. "
        "Elements without data are white.",
    ),
    "{pair}-importance": FigureFile(
        "importance of elements",
        "Energy shift",
        "Elements that explain how the formation energies of {high} and {low} differ ({pair}). Impurity importance in "
        "a regression tree on composition, fitted to {subset}, divided by the number of atoms of the element and "
        "rescaled to sum 1.",
    ),
    "references": FigureFile(
        "reference energies",
        "References",
        "Elemental reference energies per atom against the atomic number, and their differences from the first one "
        "shown, for every reference fit at the largest and the smallest training-set size of the first seed: target "
        "and residual references on the run's own subset, or the training split where the study says so; source "
        "references on the training split of the source. Filled marks are fitted, hollow ones come from the prior, "
        "for elements that the structures fitted do not hold or do not determine by themselves; bars are 95 % "
        "intervals where these are known.",
    ),
    "reference-errors": FigureFile(
        "errors of reference energies alone",
        "References",
        "Errors of reference energies alone on held-out structures, against the size of the subset they are fitted "
        "to: means over seeds. Left, mean absolute error; bars are the range over seeds. Right, its change "
        "against the baseline on the covered structures, whose elements every seed saw at the smallest size; bars are "
        "the 95 % interval of a bootstrap over test groups that all fits share. Marks of one size are offset.",
    ),
    "learning-curves": FigureFile(
        "learning curves",
        "Scaling",
        "Learning curves: test error against the number of labelled training structures, both logarithmic, on the "
        "covered test frames, whose elements every seed saw at the smallest size. Each mark is a run, filled where "
        "settled, pale where not, hollow where it enters no law; dotted lines join the means over seeds, full lines "
        "with a band are fitted laws with their 95 % band, the dashed grey line is the geometry-free baseline.",
    ),
    "budgets": FigureFile(
        "training budgets",
        "Scaling",
        "Learning curves under all budgets: means over seeds, bars from the lowest to the highest, line style by "
        "budget. Filled where every run enters the laws. Between two budgets of one arm the data are the same "
        "and the optimiser steps differ; along a curve of a budget in steps only the data differ, along one in epochs "
        "both.",
    ),
    "convergence": FigureFile(
        "convergence",
        "Scaling",
        "Validation error along every run of the budget {budget} against the optimiser step, a column per "
        "training-set size and a line per run. The learning rate falls to its final value, so that all lines end flat: "
        "this says nothing about longer training.",
    ),
    "errors-force": FigureFile(
        "against the size of the force",
        "Errors",
        "Force errors at the largest training-set size against the size of the labelled force, all seeds together: "
        "mean absolute error of a component, and the slope of predicted on labelled components through the origin. A "
        "slope below 1 means that the network is too soft there; none is given below 0.1 eV/Å.",
    ),
    "parity": FigureFile(
        "predicted against labelled energies",
        "Errors",
        "Predicted against labelled energies of the test frames at the largest training-set size, first seed, a panel "
        "per arm. The dashed line is equality; frames with elements that the run has not seen are included.",
    ),
    "parity-force": FigureFile(
        "predicted against labelled forces of the test",
        "Errors",
        "Predicted against labelled force components of the test frames at the largest training-set size, first seed, "
        "a panel per arm; darker cells hold more values, the dashed line is equality. Errors are those on all test "
        "frames.",
    ),
    "parity-stress": FigureFile(
        "predicted against labelled stresses of the test",
        "Errors",
        "Predicted against labelled stress components of the test frames at the largest training-set size, first "
        "seed, a panel per arm; darker cells hold more values, the dashed line is equality. Errors are those on all "
        "test frames.",
    ),
    "worst-structures": FigureFile(
        "structures with the largest errors",
        "Errors",
        "The test structures with the largest errors at the largest training-set size, first seed, of the arm with the "
        "lowest error. Cells of up to eight atoms are doubled along each axis; an atom or molecule in a box is drawn "
        "without it.",
    ),
    "forgetting": FigureFile(
        "error at the source and at the target",
        "Training",
        "Error at the target fidelity ({high}) against the error on held-out frames of the source ({low}); lower left "
        "is better at both. Small marks are runs, a line joins the means of an arm and its marks grow with the "
        "training-set size. Source energies are compared minus a fit linear in composition. "
        "The dashed line is the pretrained checkpoint before any transfer.",
    ),
    "holes": FigureFile(
        "holes in the energy surface",
        "Training",
        "Random structures, relaxed and rattled in turns with every network. Left, the share that falls into a hole, "
        "mean over seeds, with its 95 % interval. Right, the lowest state of every network, relative to the lowest "
        "labelled frame of its composition: far below 0 is a hole.",
    ),
    "dynamics": FigureFile(
        "gradients by layer",
        "Training",
        "Norm of the gradient in every layer along the runs of the budget {budget} at the largest training-set size, "
        "mean over seeds. A layer that an arm does not train has no line.",
    ),
    "before-after": FigureFile(
        "error after and before training",
        "Scaling",
        "Validation error after training against the error before it, of arms that start from networks pretrained "
        "differently, both logarithmic. Before its first step an arm is the pretrained network with the arm's "
        "reference energies. Each mark is a run, larger at larger training sets; below the dashed line training made "
        "the error smaller.",
    ),
    "softening-{evalset}": FigureFile(
        "slopes by material",
        "Softening",
        "Slope of predicted on labelled forces by material on {evalset}, checkpoints and arms at the largest size "
        "(means over seeds). Below 1 (dashed) forces are too small. Bars are 95 % bootstrap intervals over "
        "trajectories, frames that stand alone being one each; "
        "of more than twelve materials the share below each slope is drawn, without the outermost slopes.",
    ),
    "softening-{evalset}-parity": FigureFile(
        "predicted against labelled forces",
        "Softening",
        "Predicted against labelled force components on {evalset}; darker cells hold more values, the dashed line is "
        "equality, the full line the slope through the origin. Arms: the largest size, first seed.",
    ),
    "softening-{evalset}-structures": FigureFile(
        "softest materials",
        "Softening",
        "First structures of the materials of {evalset} that are named above, and of the softest beside them, with the "
        "smallest slope of a checkpoint. Cells of up to eight atoms are doubled along each axis.",
    ),
    "softening-{evalset}-correction": FigureFile(
        "correction with few labels",
        "Softening",
        "Forces on {evalset} after a correction that is fitted to a few labelled structures of a material and tested "
        "on structures of other trajectories: {methods}. Marks are medians over materials of means over draws, bars "
        "hold the materials between the quartiles; the dotted line is the MAE after division by the slope of the "
        "tested structures themselves.",
    ),
    "softening-{evalset}-sizes": FigureFile(
        "slopes against n",
        "Softening",
        "Slope of the forces on {evalset} (median over materials) against the training-set size. Small marks are runs, "
        "lines join means over seeds, grey lines are the checkpoints.",
    ),
    "physics": FigureFile(
        "predicted against published properties",
        "Physics",
        "Properties of crystals, predicted against published, a panel per set and quantity: checkpoints, and arms at "
        "the largest size, first seed. Each mark is a value, hollow where a relaxation behind it has not converged; "
        "the dashed line is equality.",
    ),
    "physics-ratios": FigureFile(
        "ratios of properties",
        "Physics",
        "Ratio of predicted to published values by set and quantity (Σxy/Σx²): below 1 (dashed) they are too low. "
        "Bars are 95 % bootstrap intervals over materials, none with fewer than three.",
    ),
    "physics-mixing": FigureFile(
        "mixing energies",
        "Physics",
        "Energies of mixing against composition, relative to the most dilute compositions of the set. Lines join means "
        "over arrangements, bands reach from the lowest to the highest; black as published.",
    ),
    "physics-phonons": FigureFile(
        "phonons",
        "Physics",
        "Phonon bands and density of states of the crystals with published force constants (black), in the same cell, "
        "with the same supercell and mesh. Imaginary frequencies are drawn as negative.",
    ),
    "physics-repair": FigureFile(
        "properties after a repair with few labels",
        "Physics",
        "Error of properties after a repair with k labelled structures over that of the untouched network on the same "
        "values: below 1 (dashed) the repair helps. Full lines, one number multiplies the energy; broken lines, the "
        "network is trained on the structures. Marks are means over draws, bars 95 % intervals over materials and "
        "draws; hollow marks have none, with fewer than three of either.",
    ),
    "law-comparison": FigureFile(
        "laws compared",
        "Scaling",
        "Laws compared: errors of the runs and all fitted laws, divided by the power law, for every curve that has "
        "laws, on the test frames of the learning curves. The grey band is the 95 % band of the power law; the "
        "selected law is named above each panel.",
    ),
    "data-multiplier": FigureFile(
        "data multipliers",
        "Scaling",
        "Data multiplier as a function of the training size of each arm: how many times more labels the arm without "
        "pretraining needs for the same error, by the laws fitted on the test frames of the learning curves, with "
        "95 % bands. Thin lines: outside the sizes at which that arm was measured.",
    ),
}
#: Drawn from curves and laws alone, of studies of given points as well.
LAW_FIGURES = ("learning-curves", "data-multiplier", "law-comparison")


def figures_of(study: Study) -> list[str]:
    """Return the names of all figures that a study draws."""
    inits = {arm.init for arm in study.arms.values() if arm.init != "random"}
    physics = {entry.test for entry in study.tests.physics.sets.values()} if study.tests.physics else set()
    absent = {
        "budgets": len(study.budgets) == 1,
        "before-after": len(inits) < 2,
        "holes": not study.tests.holes,
        "parity-force": "force" not in study.transfer.targets,
        "parity-stress": "stress" not in study.transfer.targets,
        "physics": not physics,
        "physics-ratios": not physics,
        "physics-mixing": "mixing" not in physics,
        "physics-phonons": "phonons" not in physics,
        "physics-repair": not (study.tests.physics and study.tests.physics.repair),
    }
    return [name for pattern in FIGURES if not absent.get(pattern) for name in expanded(pattern, study)]


def as_markdown() -> str:
    """Return the list of tables and figures for `docs/results.md`."""
    left_out = POINTS["left_out"]
    lines = [
        "# Files of a study",
        "",
        "Below `results/<study>/`. `make schema` writes this list from `uprung.report.catalogue` and `captions`.",
        "",
        "## Tables",
        "",
        "| file | content |",
        "|---|---|",
        *(f"| `{entry.file}` | {entry.about} |" for entry in FILES.values()),
        "",
        f"A study of given points has `scaling/` alone, with `{left_out.file}`: {left_out.about}.",
        "",
        "## Figures",
        "",
        "Each as `figures/<name>.svg` and `.png`.",
        "",
        "| name | category | content |",
        "|---|---|---|",
        *(f"| `{name}` | {entry.category} | {entry.about} |" for name, entry in FIGURES.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (Path(sys.argv[1]) / "results.md").write_text(as_markdown(), encoding="utf-8")
