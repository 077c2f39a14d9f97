"""Train a checkpoint on few structures of an evaluation set, draw by draw, and judge its forces on others."""

import pandas as pd

from uprung.config.training import FineTuning, Training
from uprung.correction import TRAINING, drawn
from uprung.dataset import open_dataset
from uprung.fine_tuning import FineTuned
from uprung.logs import logged
from uprung.step import launch

with logged(snakemake.log[0]):
    params = snakemake.params
    options = FineTuning.model_validate(params.training)
    recipe = options.recipe(Training.model_validate(params.machine))
    dataset = open_dataset(snakemake.input.graphs)
    checkpoint = snakemake.wildcards.model.removeprefix("chgnet-")
    method = FineTuned(launch(recipe), checkpoint, dataset, recipe, options.epochs)
    cloud = pd.read_parquet(snakemake.input.forces)
    dealt = {"shots": params.shots, "draws": params.draws, "seed": 0}
    found = drawn(cloud, method, name=TRAINING, **dealt, first=options.draws)
    found.to_csv(snakemake.output[0], index=False)
