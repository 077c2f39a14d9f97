"""Split the frames of both fidelities of the transfer into train, validation and test."""

from pathlib import Path

import pandas as pd

from uprung.config.data import Select, Split
from uprung.datasets import splits
from uprung.datasets.sizes import resolve_sizes
from uprung.datasets.splits import FidelityFrames, Reach, joined_groups, split_fidelities, training_order, twin_groups
from uprung.frames.table import read_frames
from uprung.job.files import write_json
from uprung.job.run import job

with job(snakemake):
    params = snakemake.params
    split, select = Split.model_validate(params.split), Select.model_validate(params.select)
    low, high = read_frames(snakemake.input.low), read_frames(snakemake.input.high)
    groups = twin_groups(low, high, pd.read_parquet(snakemake.input.pairs), split.group, params.tolerance)
    sides = [
        FidelityFrames(params.low, low, low.label(params.label_low), groups[0]),
        FidelityFrames(params.high, high, high.label(params.label_high), groups[1]),
    ]
    shares, reach = (split.train, split.val, split.test), Reach(*params.reach)
    table = split_fidelities(sides, shares=shares, key=split.key, reach=reach, **select.model_dump())
    # Sizes are checked here, before graphs and training, but not through params: a new size must not split anew.
    train = table[(table["fidelity"] == params.high) & (table["split"] == "train")]
    orders = {
        seed: training_order(train, draw=split.draw, seed=seed, key=split.key) for seed in snakemake.config["seeds"]
    }
    sizes = [str(size) for size in snakemake.config["sizes"]]
    resolve_sizes(orders, sizes, dict.fromkeys(train["frame_id"], frozenset()))
    splits.require_sides(table, params.high)
    table.to_parquet(snakemake.output.table)
    known = [frozenset(Path(file).read_text(encoding="utf-8").split()) for file in snakemake.input.pretraining]
    share = splits.pretraining_share(table, params.high, known[0] if known else None)
    joined = joined_groups(sides, split.group)
    write_json(snakemake.output.manifest, {**splits.split_counts(table), **joined, "pretraining": share})
