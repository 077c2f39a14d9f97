"""Order the training frames of a fidelity for one seed."""

import pandas as pd

from uprung.datasets.mixing import mix_facts, mixed
from uprung.datasets.sampling import places_of
from uprung.datasets.splits import training_order
from uprung.frames.table import read_frames
from uprung.job.files import write_json
from uprung.job.run import job

with job(snakemake):
    params, seed, mix = snakemake.params, snakemake.params.seed, snakemake.params.get("mix")
    split = pd.read_parquet(snakemake.input.split)
    train = split[(split["fidelity"] == params.fidelity) & (split["split"] == "train")]
    frames = read_frames(snakemake.input.frames[0]) if snakemake.input.frames else None
    places = None
    if params.sampling != "random":
        places = places_of(params.sampling, frames, train, draw=params.draw, seed=seed, key=params.key)
    order = training_order(train, draw=params.draw, seed=seed, key=params.key, places=places)
    if mix:
        sources = dict(zip(frames.strings("frame_id"), frames.strings("source"), strict=True))
        order = mixed(order, sources, mix)
        write_json(snakemake.output.mix, mix_facts(order, train, sources, mix))
    order.to_parquet(snakemake.output[0])
