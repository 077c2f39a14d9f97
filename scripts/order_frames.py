"""Order the training frames of a fidelity for one seed."""

import pandas as pd

from uprung.datasets.sampling import places_of
from uprung.datasets.splits import training_order
from uprung.frames.table import read_frames
from uprung.job.run import job

with job(snakemake):
    params, seed = snakemake.params, snakemake.params.seed
    split = pd.read_parquet(snakemake.input.split)
    train = split[(split["fidelity"] == params.fidelity) & (split["split"] == "train")]
    places = None
    if params.sampling != "random":
        frames = read_frames(snakemake.input.frames[0])
        places = places_of(params.sampling, frames, train, draw=params.draw, seed=seed, key=params.key)
    order = training_order(train, draw=params.draw, seed=seed, key=params.key, places=places)
    order.to_parquet(snakemake.output[0])
