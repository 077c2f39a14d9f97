"""Draw predicted against labelled forces and stresses of the test set."""

from uprung.evaluation.largest import largest_runs
from uprung.figures.errors import component_parity
from uprung.figures.style import save
from uprung.job.run import job

with job(snakemake):
    params, files = snakemake.params, snakemake.input
    runs = largest_runs(files.metrics, files.components)
    values = {run.arm: run.table() for run in runs}
    for target, file in zip(params.targets, snakemake.output.svg, strict=True):
        errors = {run.arm: run.mae(target) for run in runs}
        save(component_parity(values, errors, target=target, arm_labels=params.arm_labels), file)
