"""List the trained networks of a study."""

import json
from pathlib import Path

import yaml

from uprung.evaluation.index import TrainedModel, model_index
from uprung.job.logs import logged

with logged(snakemake.log[0]):
    models = []
    for file in map(Path, snakemake.input.models):
        budget, arm, size, seed = file.parent.parts[-4:]
        models.append(
            TrainedModel(
                {"budget": budget, "arm": arm, "size": size[1:], "seed": int(seed.removeprefix("seed"))},
                file,
                yaml.safe_load((file.parent / "card.yaml").read_text()),
                json.loads((file.parent / "metrics.json").read_text()),
            )
        )
    folder = Path(snakemake.output[0]).parents[1]
    table = model_index(models, root=folder, targets=snakemake.params.targets)
    table.to_csv(snakemake.output[0], index=False)
