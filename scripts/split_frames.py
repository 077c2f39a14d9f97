"""Split the frames of both fidelities of the transfer into train, validation and test."""

from pathlib import Path

import pandas as pd

from uprung.config.data import Select, Split
from uprung.datasets import splits
from uprung.datasets.sizes import resolve_sizes
from uprung.datasets.splits import FidelityFrames, group_names, split_fidelities, training_order
from uprung.frames.table import read_frames
from uprung.job.files import write_json
from uprung.job.run import job

with job(snakemake):
    params = snakemake.params
    split, select = Split.model_validate(params.split), Select.model_validate(params.select)
    pairs = pd.read_parquet(snakemake.input.pairs)
    same_geometry = dict(zip(pairs["frame_id_low"], pairs["frame_id_high"], strict=True))
    sides = [
        FidelityFrames(name, frames, frames.label(label), group_names(frames, split.group, same_as))
        for name, frames, label, same_as in (
            (params.low, read_frames(snakemake.input.low), params.label_low, same_geometry),
            (params.high, read_frames(snakemake.input.high), params.label_high, {}),
        )
    ]
    table = split_fidelities(sides, shares=(split.train, split.val, split.test), key=split.key, **select.model_dump())
    # Sizes are checked here, before graphs and training, but not through params: a new size must not split anew.
    train = table[(table["fidelity"] == params.high) & (table["split"] == "train")]
    orders = {
        seed: training_order(train, draw=split.draw, seed=seed, key=split.key) for seed in snakemake.config["seeds"]
    }
    sizes = [str(size) for size in snakemake.config["sizes"]]
    resolve_sizes(orders, sizes, dict.fromkeys(train["frame_id"], frozenset()))
    splits.require_sides(table, params.high)
    table.to_parquet(snakemake.output.table)
    known = [frozenset(Path(file).read_text().split()) for file in snakemake.input.pretraining]
    share = splits.pretraining_share(table, params.high, known[0] if known else None)
    write_json(snakemake.output.manifest, {**splits.split_counts(table), "pretraining": share})
