"""Fit one set of reference energies on the subset of one size and seed."""

import pandas as pd

from uprung.atomref.fit import fit_reference
from uprung.atomref.transfer import TransferFrames, unexplained
from uprung.config.arms import ReferenceFit
from uprung.datasets.sizes import subset
from uprung.job.run import job

with job(snakemake):
    params, files = snakemake.params, snakemake.input
    options = ReferenceFit.model_validate(params.reference)
    transfer = TransferFrames.read(files.low, files.high, files.split, names=params.names, labels=params.labels)
    elements = dict(zip(params.elements, files.elements, strict=True))
    order = pd.read_parquet(files.order)
    chosen = order if options.scope == "train" else subset(order, params.size)
    residual = [unexplained(pd.read_parquet(file), chosen) for file in files.pretrained]
    reference, _ = fit_reference(
        options.labels,
        target=transfer.target_frames(chosen),
        source=transfer.source_training(),
        needed=transfer.needed(),
        residual=next(iter(residual), None),
        policy=options.unseen,
        estimator=transfer.estimator(options, elements, seed=int(snakemake.wildcards.seed)),
    )
    reference.to_frame().to_csv(snakemake.output[0], index=False, float_format="%.10g")
