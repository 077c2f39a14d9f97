"""Resolve every training-set size for every seed; refuse sizes that the data cannot fill."""

import pandas as pd

from uprung.datasets.sizes import resolve_sizes
from uprung.datasets.splits import elements_of
from uprung.frames.table import read_frames
from uprung.job.run import job

with job(snakemake):
    frames = read_frames(snakemake.input.frames)
    elements = dict(zip(frames.strings("frame_id"), elements_of(frames), strict=True))
    orders = {s: pd.read_parquet(f) for s, f in zip(snakemake.params.seeds, snakemake.input.orders, strict=True)}
    resolve_sizes(orders, snakemake.params.sizes, elements).to_csv(snakemake.output[0], index=False)
