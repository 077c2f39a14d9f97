"""Collect and draw forgetting; draw gradients by layer."""

import json
from pathlib import Path

from uprung.evaluation.forgetting import forgetting_table
from uprung.figures.style import save
from uprung.figures.training import dynamics, forgetting
from uprung.frames.csv import read_table
from uprung.job.run import job

with job(snakemake):
    params, files, output = snakemake.params, snakemake.input, snakemake.output
    runs = [json.loads(Path(file).read_text(encoding="utf-8")) for file in files.metrics]
    table = forgetting_table(runs, params.targets)
    table.to_csv(output.table, index=False)
    before = {}
    for file in map(Path, files.pretrained):
        found = json.loads(file.read_text(encoding="utf-8"))
        errors = {**found["raw"], **found.get("rereferenced", {})}
        before[file.stem] = {target: each["mae"] for target, each in errors.items()}
    own = table[table["budget"] == params.budget]
    first = before.pop("pretrained", {})
    save(forgetting(own, first, arm_labels=params.arm_labels, others=before), output.forgetting)
    history, largest = read_table(files.history), max(runs, key=lambda run: run["n_train"])["run"]["size"]
    history = history[(history["budget"] == params.budget) & (history["size"] == largest)]
    save(dynamics(history, arm_labels=params.arm_labels), output.dynamics)
