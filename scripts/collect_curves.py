"""Collect the tests of all runs into learning curves, and their validation histories into one table."""

import json
from pathlib import Path

import pandas as pd

from uprung.job.logs import logged
from uprung.scaling.curves import RunFiles, error_resamples, learning_curves

with logged(snakemake.log[0]):
    params, files = snakemake.params, snakemake.input
    runs = []
    for metrics, predictions, history in zip(files.metrics, files.predictions, files.history, strict=True):
        budget, arm, size, seed = Path(metrics).parent.parts[-4:]
        runs.append(
            RunFiles(
                budget=budget,
                arm=arm,
                size=size.removeprefix("n"),
                seed=int(seed.removeprefix("seed")),
                metrics=json.loads(Path(metrics).read_text()),
                predictions=pd.read_parquet(predictions),
                history=pd.read_csv(history),
            )
        )
    learning_curves(
        runs,
        fidelity=params.fidelity,
        targets=params.targets,
        falling=params.falling,
        resamples=params.bootstrap,
    ).to_csv(snakemake.output.curves, index=False)
    noise = error_resamples(runs, targets=params.targets, resamples=params.bootstrap)
    noise.to_parquet(snakemake.output.resamples, index=False, compression="zstd")
    pd.concat(
        [run.history.assign(budget=run.budget, arm=run.arm, size=run.size, seed=run.seed) for run in runs]
    ).to_csv(snakemake.output.history, index=False)
