"""Collect the tests of all runs into learning curves, and their validation histories into one table."""

import json
from pathlib import Path

import pandas as pd

from uprung.job.run import job
from uprung.scaling.curves import RunFiles, learning_curves, material_errors

with job(snakemake):
    params, files, output = snakemake.params, snakemake.input, snakemake.output
    untouched = [pd.read_parquet(file) for file in files.untouched]
    starts = {tuple(map(str, run)): part for table in untouched for run, part in table.groupby(["arm", "size", "seed"])}
    runs = []
    for metrics, predictions, history in zip(files.metrics, files.predictions, files.history, strict=True):
        known = json.loads(Path(metrics).read_text(encoding="utf-8"))
        begun = starts.get(tuple(str(known["run"][name]) for name in ("arm", "size", "seed")))
        start = None if begun is None else begun.drop(columns=["arm", "size", "seed"])
        runs.append(RunFiles(known, pd.read_parquet(predictions), pd.read_csv(history), start))
    asked = {"targets": params.targets, "falling": params.falling}
    judged = {"resamples": params.bootstrap, "settled": params.settled, "budgets": params.budgets}
    curves, second = learning_curves(runs, fidelity=params.fidelity, **judged, **asked)
    drawn = [run for run in runs if run.names["budget"] in params.budgets]
    curves.to_csv(output.curves, index=False)
    second.to_csv(output.second, index=False)
    material_errors(drawn, **asked).to_parquet(output.materials, index=False, compression="zstd")
    pd.concat([run.history.assign(**run.names) for run in drawn]).to_csv(output.history, index=False)
