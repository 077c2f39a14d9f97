"""Test both checkpoints of a run on the test split, and the scored one on held-out frames of the source fidelity."""

from pathlib import Path

import pandas as pd
import torch
import yaml

from uprung.atomref.references import ReferenceEnergies
from uprung.datasets.sizes import subset
from uprung.datasets.splits import sample
from uprung.datasets.store import open_dataset, rows_of
from uprung.evaluation.errors import evaluate_run, source_errors
from uprung.job.devices import claim
from uprung.job.files import write_json
from uprung.job.logs import logged
from uprung.models.chgnet.saved import load_potential

with logged(snakemake.log[0]):
    params, inputs = snakemake.params, snakemake.input
    torch.set_num_threads(params.threads)
    device = claim(params.device)
    dataset = open_dataset(inputs.graphs)
    split = pd.read_parquet(inputs.split)
    test = split[(split["fidelity"] == params.high) & (split["split"] == "test")]
    chosen = subset(pd.read_parquet(inputs.order), params.size)
    card = yaml.safe_load(Path(inputs.card).read_text())
    metrics, predictions, errors = evaluate_run(
        {
            card["kept"]: load_potential(inputs.model, params.fidelity),
            card["other"]: load_potential(inputs.other, params.fidelity),
        },
        dataset,
        test=rows_of(dataset, test["frame_id"]),
        train=rows_of(dataset, chosen["frame_id"]),
        groups=test["group"].to_numpy(),
        baseline=ReferenceEnergies.from_frame(pd.read_csv(inputs.baseline)),
        targets=params.targets,
        device=device,
    )
    predictions.to_parquet(snakemake.output.predictions)
    errors.to_csv(snakemake.output.errors, index=False)
    facts = {key: card[key] for key in ("kept", "n_train", "n_materials", "n_val", "steps", "best_step")}
    if inputs.source:
        low = open_dataset(inputs.source[0])
        held, fitted = (rows_of(low, sample(split, params.low, side, params.forgetting)) for side in ("test", "train"))
        facts["source"] = source_errors(
            load_potential(inputs.model, params.source_fidelity),
            low,
            test=held,
            train=fitted,
            targets=params.targets,
            device=device,
        )
    write_json(snakemake.output.metrics, {**facts, "n_test": len(test), **metrics})
