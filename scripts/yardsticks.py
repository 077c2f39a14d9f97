"""Compute what solves the test without a network: interpolation, means, low-fidelity labels with a shift."""

import pandas as pd

from uprung.atomref.transfer import TransferFrames
from uprung.evaluation.yardsticks import yardsticks
from uprung.job.run import job

with job(snakemake):
    params, files = snakemake.params, snakemake.input
    transfer = TransferFrames.read(files.low, files.high, files.split, names=params.names, labels=params.labels)
    orders = {seed: pd.read_parquet(file) for seed, file in zip(params.seeds, files.orders, strict=True)}
    table = yardsticks(transfer, pd.read_parquet(files.pairs), orders, params.sizes, params.targets)
    table.to_csv(snakemake.output[0], index=False)
