"""Collect the tests of all runs into learning curves, and their validation histories into one table."""

import json
from pathlib import Path

import pandas as pd

from uprung.job.run import job
from uprung.scaling.curves import RunFiles, learning_curves, material_errors

with job(snakemake):
    params, files, output = snakemake.params, snakemake.input, snakemake.output
    runs = [
        RunFiles(
            json.loads(Path(metrics).read_text(encoding="utf-8")), pd.read_parquet(predictions), pd.read_csv(history)
        )
        for metrics, predictions, history in zip(files.metrics, files.predictions, files.history, strict=True)
    ]
    asked = {"targets": params.targets, "falling": params.falling}
    curves = learning_curves(runs, fidelity=params.fidelity, resamples=params.bootstrap, **asked)
    curves.to_csv(output.curves, index=False)
    material_errors(runs, **asked).to_parquet(output.materials, index=False, compression="zstd")
    pd.concat([run.history.assign(**run.names) for run in runs]).to_csv(output.history, index=False)
