"""Test the study's reference fits alone on held-out frames, for every size and seed."""

import numpy as np
import pandas as pd

from uprung.atomref.compare import ComparedFit, Held, compare_references
from uprung.atomref.transfer import TransferFrames
from uprung.config.arms import ReferenceFit
from uprung.job.run import job

with job(snakemake):
    params, files = snakemake.params, snakemake.input
    transfer = TransferFrames.read(files.low, files.high, files.split, names=params.names, labels=params.labels)
    elements = dict(zip(params.elements, files.elements, strict=True))
    candidates = []
    for name, values in params.references.items():
        options = ReferenceFit.model_validate(values)
        estimator = transfer.estimator(options, elements, seed=None)
        candidates.append(ComparedFit(name, options.labels, estimator, options.scope, options.unseen))
    target = transfer.target()
    held = Held(
        frames=transfer.target_frames(target),
        source=transfer.source_training(),
        test=np.flatnonzero(target["split"] == "test"),
        needed=transfer.needed(),
        orders={seed: pd.read_parquet(file) for seed, file in zip(params.seeds, files.orders, strict=True)},
        sizes=params.sizes,
    )
    table, summary = compare_references(candidates, held, baseline=params.baseline, resamples=params.resamples)
    table.to_csv(snakemake.output.table, index=False, float_format="%.10g")
    summary.to_csv(snakemake.output.summary, index=False, float_format="%.10g")
