"""Split the frames of both fidelities of the transfer into train, validation and test."""

from pathlib import Path

import pandas as pd

from uprung.config.data import Select, Split
from uprung.datasets.splits import Reach, pretraining_share
from uprung.datasets.transfer_split import split_transfer
from uprung.frames.table import read_frames
from uprung.job.files import write_json
from uprung.job.run import job

with job(snakemake):
    params = snakemake.params
    # Sizes are checked here, before graphs and training, but not through params: a new size must not split anew.
    found = split_transfer(
        (read_frames(snakemake.input.low), read_frames(snakemake.input.high)),
        pd.read_parquet(snakemake.input.pairs),
        names=(params.low, params.high),
        labels=(params.label_low, params.label_high),
        split=Split.model_validate(params.split),
        select=Select.model_validate(params.select),
        tolerance=params.tolerance,
        reach=Reach(*params.reach),
        sizes=[str(size) for size in snakemake.config["sizes"]],
        seeds=snakemake.config["seeds"],
    )
    found.table.to_parquet(snakemake.output.table)
    known = [frozenset(Path(file).read_text(encoding="utf-8").split()) for file in snakemake.input.pretraining]
    share = pretraining_share(found.table, params.high, known[0] if known else None)
    write_json(snakemake.output.manifest, {**found.facts, "pretraining": share})
