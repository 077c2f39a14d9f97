"""Test both checkpoints of a run on the test split, beside predictors that learnt nothing about geometry."""

from pathlib import Path

import pandas as pd
import torch
import yaml

from uprung.dataset import open_dataset, rows_of
from uprung.evaluate import evaluate_run
from uprung.files import write_json
from uprung.logs import logged
from uprung.potential.checkpoint import load_chgnet
from uprung.references import Reference
from uprung.splits import subset

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.params.threads)
    dataset = open_dataset(snakemake.input.graphs)
    split = pd.read_parquet(snakemake.input.split)
    test = split[(split["fidelity"] == snakemake.params.fidelity) & (split["split"] == "test")]
    chosen = subset(pd.read_parquet(snakemake.input.order), snakemake.params.size)
    card = yaml.safe_load(Path(snakemake.input.card).read_text())
    metrics, predictions = evaluate_run(
        {card["kept"]: load_chgnet(snakemake.input.model), card["other"]: load_chgnet(snakemake.input.other)},
        dataset,
        test=rows_of(dataset, test["frame_id"]),
        train=rows_of(dataset, chosen["frame_id"]),
        groups=test["group"].to_numpy(),
        baseline=Reference.from_frame(pd.read_csv(snakemake.input.baseline)),
        targets=snakemake.params.targets,
        device=snakemake.params.device,
    )
    predictions.to_parquet(snakemake.output.predictions)
    facts = {key: card[key] for key in ("kept", "n_train", "n_materials", "n_val", "steps", "best_step")}
    write_json(snakemake.output.metrics, {**facts, "n_test": len(test), **metrics})
