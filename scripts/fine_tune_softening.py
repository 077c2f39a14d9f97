"""Train a checkpoint on few structures of an evaluation set, draw by draw, and judge its forces on others."""

from pathlib import Path

import numpy as np
import pandas as pd

from uprung.config.training import Training
from uprung.datasets.store import Rows
from uprung.job.run import job
from uprung.models.data import open_dataset
from uprung.models.registry import load
from uprung.softening.fine_tuning import FineTuned
from uprung.softening.force_correction import TRAINING, drawn
from uprung.softening.saved_draws import SavedDraws
from uprung.training.gradient import launch
from uprung.training.resume import identity_of

with job(snakemake):
    params = snakemake.params
    recipe = Training.model_validate(params.recipe)
    dataset = open_dataset(snakemake.input.graphs)
    checkpoint = next(iter(snakemake.input.run), snakemake.wildcards.model)
    method = FineTuned(launch(recipe), checkpoint, dataset, recipe, params.epochs)
    everything = Rows(dataset, np.arange(len(dataset.energy)))
    facts = {"epochs": params.epochs}
    identity = identity_of(load(checkpoint), [everything], facts=facts, recipe=recipe, code=params.code)
    kept = SavedDraws(method, Path(params.state), identity)
    cloud = pd.read_parquet(snakemake.input.forces)
    options = {"shots": params.shots, "draws": params.draws, "seed": 0}
    found = drawn(cloud, kept, name=TRAINING, **options, first=params.trained_draws)
    found.to_csv(snakemake.output[0], index=False)
    kept.forget()
