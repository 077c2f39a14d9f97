"""Build the graphs of all target frames that take part, and store them with their labels."""

from pathlib import Path

import numpy as np
import pandas as pd

from uprung.dataset import write_dataset
from uprung.frames.table import read_frames
from uprung.logs import logged, progress

with logged(snakemake.log[0]):
    split = pd.read_parquet(snakemake.input.split)
    split = split[(split["fidelity"] == snakemake.params.fidelity) & (split["split"] != "excluded")]
    rows = np.sort(split["row"].to_numpy())
    frames = read_frames(snakemake.input.frames)
    with progress(len(rows), "graphs", "structure") as bar:
        write_dataset(
            frames.take(rows),
            frames.label(snakemake.params.label)[rows],
            Path(snakemake.output[0]).parent,
            processes=snakemake.threads,
            progress=bar.update,
        )
