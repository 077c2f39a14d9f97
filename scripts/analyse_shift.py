"""Energy shift and label correlation of one pair of fidelities."""

import pandas as pd

from uprung.frames.table import read_frames
from uprung.job.files import write_json
from uprung.job.run import job
from uprung.labels.aligned import align
from uprung.labels.analysis import analyse

with job(snakemake):
    params, output = snakemake.params, snakemake.output
    paired = align(
        read_frames(snakemake.input.low),
        read_frames(snakemake.input.high),
        pd.read_parquet(snakemake.input.pairs),
        label_low=params.label_low,
        label_high=params.label_high,
    )
    found = analyse(paired, force_limit=params.force_limit, bootstrap=params.bootstrap)
    for name in ("correlation", "shift", "importance", "by_element"):
        getattr(found, name).to_csv(output[name], index=False)
    write_json(output.summary, found.counts)
