"""Draw learning curves with their laws, and the validation error along the runs."""

import pandas as pd

from uprung.figures.scaling import convergence, learning_curves
from uprung.figures.style import save
from uprung.logs import logged
from uprung.scaling import published_points

with logged(snakemake.log[0]):
    params, files = snakemake.params, snakemake.input
    curves = pd.read_csv(files.curves, keep_default_na=False, dtype={"size": str})
    figure = learning_curves(
        curves,
        pd.read_csv(files.laws),
        targets=params.targets,
        arm_labels=params.arm_labels,
        crossings=pd.read_csv(files.crossover),
        published=published_points(files.published) if params.show_published else None,
    )
    save(figure, snakemake.output.curves)
    history = pd.read_csv(files.history, dtype={"size": str})
    history = history[history["budget"] == params.budget]
    save(convergence(history, arm_labels=params.arm_labels), snakemake.output.convergence)
