"""Collect and draw errors by element, compound and force, predictions against labels, and the worst structures."""

import pandas as pd

from uprung.evaluation.error_tables import mean_errors_by
from uprung.evaluation.largest import largest_runs, run_tests
from uprung.evaluation.worst import with_formulas, worst_structures
from uprung.figures.errors import component_parity, errors_by_force, parity
from uprung.figures.structures import worst
from uprung.figures.style import save
from uprung.frames.table import read_frames
from uprung.job.run import job

with job(snakemake):
    params, files, output = snakemake.params, snakemake.input, snakemake.output
    labels = params.arm_labels
    runs = run_tests(files.metrics, files.predictions, files.components)
    tables = [
        pd.read_csv(file, dtype={"key": str}).assign(**run.names) for file, run in zip(files.errors, runs, strict=True)
    ]
    table = mean_errors_by(pd.concat(tables), ["budget", "arm", "size"])
    table.to_csv(output.table, index=False)
    shown = largest_runs(runs, params.budget, params.seeds)
    size = next(iter(shown.values())).names["size"]
    own = table[(table["budget"] == params.budget) & (table["size"] == size)]
    save(errors_by_force(own, arm_labels=labels), output.force)
    predictions = {arm: run.predictions() for arm, run in shown.items()}
    save(parity(predictions, arm_labels=labels), output.parity)
    values = {arm: run.components() for arm, run in shown.items()}
    for target, file in zip(params.components, output.components, strict=True):
        errors = {arm: run.mae(target) for arm, run in shown.items()}
        save(component_parity(values, errors, target=target, arm_labels=labels), file)
    best = min(shown, key=lambda arm: shown[arm].mae(params.target))
    listed, structures = with_formulas(
        worst_structures(predictions, params.target, best=best), read_frames(files.frames)
    )
    listed.to_csv(output.worst, index=False)
    save(worst(listed, structures), output.structures)
