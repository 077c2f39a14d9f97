"""Draw the validation error along the runs."""

from uprung.figures.convergence import convergence
from uprung.figures.style import save
from uprung.frames.csv import read_table
from uprung.job.run import job

with job(snakemake):
    history = read_table(snakemake.input[0])
    history = history[history["budget"] == snakemake.params.budget]
    save(convergence(history, arm_labels=snakemake.params.arm_labels), snakemake.output.svg)
