"""Test both checkpoints of a run on the test split, and the scored one on held-out frames of the source fidelity."""

from pathlib import Path

import pandas as pd
import torch
import yaml

from uprung.atomref.references import ReferenceEnergies
from uprung.datasets.sizes import subset
from uprung.datasets.store import rows_of
from uprung.evaluation.errors import evaluate_run, label_baselines, sampled_source_errors
from uprung.job.devices import claim
from uprung.job.files import write_json
from uprung.job.run import job
from uprung.models.data import open_dataset
from uprung.models.registry import load

with job(snakemake):
    params, inputs = snakemake.params, snakemake.input
    torch.set_num_threads(params.threads)
    asked = {"targets": params.targets, "device": claim(params.device)}
    dataset, split = open_dataset(inputs.graphs), pd.read_parquet(inputs.split)
    test, held = (split[(split["fidelity"] == params.high) & (split["split"] == side)] for side in ("test", "val"))
    baseline = ReferenceEnergies.from_frame(pd.read_csv(inputs.baseline))
    chosen = subset(pd.read_parquet(inputs.order), params.size)
    card = yaml.safe_load(Path(inputs.card).read_text(encoding="utf-8"))
    files = {card["kept"]: inputs.model, card["other"]: inputs.other}
    sides = {"test": rows_of(dataset, test["frame_id"]), "train": rows_of(dataset, chosen["frame_id"])}
    checkpoints = {name: load(file, params.fidelity) for name, file in files.items()}
    metrics, predictions, errors, single = evaluate_run(
        checkpoints, dataset, **sides, groups=test["group"].to_numpy(), baseline=baseline, **asked
    )
    predictions.to_parquet(snakemake.output.predictions)
    errors.to_csv(snakemake.output.errors, index=False)
    single.to_parquet(snakemake.output.components)
    facts = {key: card[key] for key in ("kept", "n_train", "n_materials", "n_val", "steps", "best_step")}
    held_rows = rows_of(dataset, held["frame_id"])
    facts["validation_baseline"] = label_baselines(dataset, held_rows, targets=params.targets, baseline=baseline)
    for file in inputs.source:
        potential, low = load(inputs.model, params.source_fidelity), open_dataset(file)
        facts["source"] = sampled_source_errors(potential, low, split, params.low, params.forgetting, **asked)
    run = {name: snakemake.wildcards[name] for name in ("budget", "arm", "size")}
    run["seed"] = int(snakemake.wildcards.seed)
    write_json(snakemake.output.metrics, {"run": run, **facts, "n_test": len(test), **metrics})
