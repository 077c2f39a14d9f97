"""Collect what the runs forgot, and draw it beside the gradients of their layers."""

import json
from pathlib import Path

import pandas as pd

from uprung.evaluation.forgetting import forgetting_table
from uprung.figures.style import save
from uprung.figures.training import dynamics, forgetting
from uprung.job.logs import logged

with logged(snakemake.log[0]):
    params, runs = snakemake.params, []
    for file in map(Path, snakemake.input.metrics):
        budget, arm, size, seed = file.parent.parts[-4:]
        names = {"budget": budget, "arm": arm, "size": size[1:], "seed": int(seed.removeprefix("seed"))}
        runs.append((names, json.loads(file.read_text())))
    table = forgetting_table(runs, params.targets)
    table.to_csv(snakemake.output.table, index=False)
    before = {}
    for file in snakemake.input.pretrained:
        found = json.loads(Path(file).read_text())
        before = {t: errors["mae"] for t, errors in {**found["raw"], **found.get("rereferenced", {})}.items()}
    own = table[table["budget"] == params.budget]
    save(forgetting(own, before, arm_labels=params.arm_labels), snakemake.output.forgetting)
    history = pd.read_csv(snakemake.input.history, dtype={"size": str})
    largest = max((m["n_train"], n["size"]) for n, m in runs)[1]
    history = history[(history["budget"] == params.budget) & (history["size"] == largest)]
    save(dynamics(history, arm_labels=params.arm_labels), snakemake.output.dynamics)
