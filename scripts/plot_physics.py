"""Collect and draw the properties of crystals of all networks."""

import pandas as pd

from uprung.figures import physics
from uprung.figures.style import save
from uprung.frames.csv import read_table
from uprung.job.run import job
from uprung.physics.stability import with_decomposition
from uprung.physics.tables import TEXT, shown, summary
from uprung.physics.transfer import transfer_table
from uprung.softening.models import MODEL

with job(snakemake):
    params, output = snakemake.params, snakemake.output
    values = pd.concat([read_table(file, TEXT) for file in snakemake.input.values], ignore_index=True)
    curves = pd.concat([pd.read_parquet(file) for file in snakemake.input.curves], ignore_index=True)
    values = with_decomposition(values, MODEL)
    values.to_csv(output.values, index=False)
    table = summary(values, resamples=params.bootstrap, seed=0)
    table.to_csv(output.summary, index=False)
    if params.transfer:
        found = transfer_table(values, params.starts, resamples=params.bootstrap, seed=0)
        found.to_csv(output.transfer, index=False)
    own = [shown(each, budget=params.budget, labels=params.arm_labels) for each in (values, curves, table)]
    save(physics.parity(own[0]), output.parity)
    save(physics.ratios(own[2]), output.ratios)
    if params.mixing:
        save(physics.mixing(own[0]), output.mixing)
    if params.phonons:
        save(physics.phonons(own[1]), output.phonons)
