"""Draw learning curves with their laws, data multipliers, and how the laws compare."""

from pathlib import Path

import pandas as pd

from uprung.figures.budgets import budget_curves
from uprung.figures.laws import data_multipliers, law_comparison
from uprung.figures.scaling import learning_curves
from uprung.figures.style import save
from uprung.job.run import job
from uprung.scaling import falling, published_points, read_curves

with job(snakemake):
    params, files = snakemake.params, snakemake.input
    curves, tables = read_curves(files.curves), {n: pd.read_csv(f) for n, f in files.items() if n != "curves"}
    tables["bands"] = falling(tables["bands"], tables["laws"])
    labels = {arm: params.arm_labels.get(arm, arm) for arm in [*params.arm_labels, *dict.fromkeys(curves["arm"])]}
    labels = {arm: label for arm, label in labels.items() if arm in set(curves["arm"])}
    targets = list(dict.fromkeys(curves["target"]))
    bases = params.get("bases", [params.scratch])  # of several architectures, one of each
    figures = {
        "learning-curves": learning_curves(
            curves,
            tables["laws"],
            targets=targets,
            arm_labels=labels,
            bands=tables["bands"],
            crossings=tables["crossover"],
            published=published_points(files.published) if "published" in tables else None,
            yardsticks=tables.get("yardsticks"),
            x_label=params.x_label,
        ),
        "data-multiplier": data_multipliers(
            tables["multiplier"], scratch=bases, arm_labels=labels, x_label=params.x_label
        ),
        "law-comparison": law_comparison(
            curves, tables["bands"], tables["comparison"], arm_labels=labels, x_label=params.x_label
        ),
    }
    if params.budgets:
        figures["budgets"] = budget_curves(curves, arm_labels=labels, x_label=params.x_label)
    for name, figure in figures.items():
        save(figure, Path(snakemake.output[0]).with_name(f"{name}.svg"))
