"""Estimate the Fisher information of the network that an arm starts from, on structures of the source fidelity."""

from pathlib import Path

import pandas as pd
import torch

from uprung.config.arms import Ewc
from uprung.datasets.splits import frames_on
from uprung.datasets.store import Rows, rows_of
from uprung.job.devices import claim
from uprung.job.files import sha256, write_json
from uprung.job.run import job
from uprung.models.data import open_dataset
from uprung.models.registry import load
from uprung.training.fisher import drawn, fisher_diagonal, importance_digest, save_importance

with job(snakemake):
    params, files = snakemake.params, snakemake.input
    torch.set_num_threads(1)  # threads take whole structures
    options = Ewc.model_validate({"strength": 1, **params.ewc})
    dataset, split = open_dataset(files.graphs), pd.read_parquet(files.split)
    known = Rows(dataset, rows_of(dataset, frames_on(split, params.low, "train")))
    chosen = drawn(known, options.structures, options.seed)
    initial = next(iter(files.initial), params.pretrained)
    asked = {"targets": params.targets, "weights": params.weights, "seed": options.seed}
    network = load(initial)
    found = fisher_diagonal(network, chosen, **asked, device=claim(params.device), threads=params.threads)
    save_importance(snakemake.output.importance, found)
    facts = {
        **{"network": params.pretrained, "asked_for": options.structures, "structures": len(chosen.rows)},
        **{**asked, "weights": {target: params.weights[target] for target in params.targets}},
        "frames": [str(key) for key in dataset.keys[chosen.rows]],
        "mean": {name: float(values.mean()) for name, values in found.items()},
        **{"values_sha256": importance_digest(found), "sha256": sha256(Path(snakemake.output.importance))},
    }
    write_json(snakemake.output.manifest, facts)
