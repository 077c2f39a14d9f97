"""Energy shift and label correlation of one pair of fidelities."""

import pandas as pd

from uprung.frames.table import read_frames
from uprung.job.files import write_json
from uprung.job.run import job
from uprung.labels.aligned import align
from uprung.labels.correlation import correlation, correlation_by_element
from uprung.labels.energy_shift import element_shift, formation_importance

with job(snakemake):
    params, output = snakemake.params, snakemake.output
    paired = align(
        read_frames(snakemake.input.low),
        read_frames(snakemake.input.high),
        pd.read_parquet(snakemake.input.pairs),
        label_low=params.label_low,
        label_high=params.label_high,
    )
    correlation(
        paired.X,
        paired.offsets,
        paired.low,
        paired.high,
        paired.groups,
        limit=params.force_limit,
        n_bootstrap=params.bootstrap,
    ).to_csv(output.correlation, index=False)
    near = paired.below_force(params.force_limit)
    shift = element_shift(near.X, near.low.energy, near.high.energy, near.groups)
    shift.to_csv(output.shift, index=False)
    importance = formation_importance(near.X, near.low.energy, near.high.energy, near.n_atoms)
    importance.to_csv(output.importance, index=False)
    correlation_by_element(near.X, near.offsets, near.low, near.high).to_csv(output.by_element, index=False)
    write_json(
        output.summary,
        {
            "pairs": len(paired.groups),
            "pairs_below_force_limit": len(near.groups),
            "materials": len(set(paired.groups)),
            "elements": len(shift),
            "importance": importance.attrs.get("reason", ""),
        },
    )
