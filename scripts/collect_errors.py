"""Collect and draw errors by element, kind of compound and size of the force."""

import json
from pathlib import Path

import pandas as pd

from uprung.evaluation.error_tables import mean_errors_by
from uprung.figures.errors import errors_by_force, parity
from uprung.figures.style import save
from uprung.job.run import job

with job(snakemake):
    params, files, output = snakemake.params, snakemake.input, snakemake.output
    runs = [json.loads(Path(file).read_text()) for file in files.metrics]
    size = max(runs, key=lambda run: run["n_train"])["run"]["size"]
    tables = [
        pd.read_csv(file, dtype={"key": str}).assign(**run["run"]) for file, run in zip(files.errors, runs, strict=True)
    ]
    table = mean_errors_by(pd.concat(tables), ["budget", "arm", "size"])
    table.to_csv(output.table, index=False)
    own = table[(table["budget"] == params.budget) & (table["size"] == size)]
    save(errors_by_force(own, arm_labels=params.arm_labels), output.force)
    frames = {}
    for file, run in zip(files.predictions, runs, strict=True):
        names = run["run"]
        if (names["budget"], names["size"], names["seed"]) == (params.budget, size, params.seed):
            predictions = pd.read_parquet(file)
            frames[names["arm"]] = predictions[predictions["checkpoint"] == run["kept"]]
    save(parity(frames, arm_labels=params.arm_labels), output.parity)
