"""Draw the validation error along the runs."""

import pandas as pd

from uprung.figures.convergence import convergence
from uprung.figures.style import save
from uprung.job.logs import logged

with logged(snakemake.log[0]):
    history = pd.read_csv(snakemake.input[0], dtype={"size": str})
    history = history[history["budget"] == snakemake.params.budget]
    save(convergence(history, arm_labels=snakemake.params.arm_labels), snakemake.output.svg)
