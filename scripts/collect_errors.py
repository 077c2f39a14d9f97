"""Collect where the networks err, by element, kind of compound and size of the force, and draw it."""

import json
from pathlib import Path

import pandas as pd

from uprung.evaluation.error_tables import mean_errors_by
from uprung.figures.errors import errors_by_force, parity
from uprung.figures.style import save
from uprung.job.logs import logged

with logged(snakemake.log[0]):
    params, tables, shown, largest = snakemake.params, [], {}, (0, "")
    for file in map(Path, snakemake.input.errors):
        budget, arm, size, seed = file.parent.parts[-4:]
        tables.append(pd.read_csv(file, dtype={"key": str}).assign(budget=budget, arm=arm, size=size[1:]))
        metrics = json.loads((file.parent / "metrics.json").read_text())
        largest = max(largest, (metrics["n_train"], size[1:]))
        if budget == params.budget and seed == f"seed{params.seed}":
            shown[arm, size[1:]] = (file.parent, metrics["kept"])
    table = mean_errors_by(pd.concat(tables), ["budget", "arm", "size"])
    table.to_csv(snakemake.output.table, index=False)
    size = largest[1]
    own = table[(table["budget"] == params.budget) & (table["size"] == size)]
    save(errors_by_force(own, arm_labels=params.arm_labels), snakemake.output.force)
    frames = {}
    for (arm, of_size), (folder, kept) in shown.items():
        if of_size == size:
            predictions = pd.read_parquet(folder / "predictions.parquet")
            frames[arm] = predictions[predictions["checkpoint"] == kept]
    save(parity(frames, arm_labels=params.arm_labels), snakemake.output.parity)
