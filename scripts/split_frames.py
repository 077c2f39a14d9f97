"""Split the frames of both fidelities of the transfer into train, validation and test."""

from pathlib import Path

import pandas as pd

from uprung.config.data import Split
from uprung.datasets.sizes import resolve_sizes
from uprung.datasets.splits import (
    FidelityFrames,
    group_names,
    pretraining_share,
    require_sides,
    split_counts,
    split_fidelities,
    training_order,
    twin_groups,
)
from uprung.frames.table import read_frames
from uprung.job.files import write_json
from uprung.job.logs import logged

with logged(snakemake.log[0]):
    split, params = Split.model_validate(snakemake.params.split), snakemake.params
    low, high = read_frames(snakemake.input.low), read_frames(snakemake.input.high)
    groups = twin_groups(low, high, pd.read_parquet(snakemake.input.pairs), split.group, params.tolerance)
    sides = [
        FidelityFrames(params.low, low, low.label(params.label_low), groups[0]),
        FidelityFrames(params.high, high, high.label(params.label_high), groups[1]),
    ]
    table = split_fidelities(sides, shares=(split.train, split.val, split.test), key=split.key, **params.select)
    # Sizes are checked here, before graphs and training, but not through params: a new size must not split anew.
    train = table[(table["fidelity"] == params.high) & (table["split"] == "train")]
    orders = {
        seed: training_order(train, draw=split.draw, seed=seed, key=split.key) for seed in snakemake.config["seeds"]
    }
    sizes = [str(size) for size in snakemake.config["sizes"]]
    resolve_sizes(orders, sizes, dict.fromkeys(train["frame_id"], frozenset()))
    require_sides(table, params.high)
    table.to_parquet(snakemake.output.table)
    known = [frozenset(Path(file).read_text().split()) for file in snakemake.input.pretraining]
    share = pretraining_share(table, params.high, known[0] if known else None)
    joined = {
        side.fidelity: sum(a != b for a, b in zip(side.groups, group_names(side.frames, split.group), strict=True))
        for side in sides
    }
    facts = {**split_counts(table), "frames_in_the_group_of_a_twin": joined, "pretraining": share}
    write_json(snakemake.output.manifest, facts)
