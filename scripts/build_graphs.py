"""Build the graphs of the frames of a fidelity that take part, and store them with their labels."""

from pathlib import Path

import numpy as np
import pandas as pd

from uprung.datasets.splits import sample
from uprung.frames.table import read_frames
from uprung.job.logs import progress
from uprung.job.run import job
from uprung.models.data import write_dataset

with job(snakemake):
    params = snakemake.params
    split = pd.read_parquet(snakemake.input.split)
    own = split[(split["fidelity"] == params.fidelity) & (split["split"] != "excluded")]
    if params.sample is not None:
        wanted = {name for side in ("train", "test") for name in sample(split, params.fidelity, side, params.sample)}
        own = own[own["frame_id"].isin(wanted) | (own["split"].isin(params.sides))]
    rows = np.sort(own["row"].to_numpy())
    frames = read_frames(snakemake.input.frames)
    with progress(len(rows), f"graphs of {params.fidelity}", "structure") as bar:
        write_dataset(
            frames.take(rows),
            frames.label(params.label)[rows],
            Path(snakemake.output[0]).parent,
            name=params.architecture,
            processes=snakemake.threads,
            progress=bar.update,
        )
