"""List the trained networks of a study."""

import json
from pathlib import Path

import yaml

from uprung.evaluation.index import TrainedModel, model_index
from uprung.job.run import job

with job(snakemake):
    files = snakemake.input
    models = [
        TrainedModel(Path(model), yaml.safe_load(Path(card).read_text()), json.loads(Path(metrics).read_text()))
        for model, card, metrics in zip(files.models, files.cards, files.metrics, strict=True)
    ]
    folder = Path(snakemake.output[0]).parents[1]
    table = model_index(models, root=folder, targets=snakemake.params.targets)
    table.to_csv(snakemake.output[0], index=False)
