"""Fit scaling laws to the learning curves; derive crossovers, data multipliers and extrapolations."""

import pandas as pd

from uprung import scaling
from uprung.config.laws import Laws
from uprung.job.run import job
from uprung.scaling.resamples import Resamples

with job(snakemake):
    params, files, output = snakemake.params, snakemake.input, snakemake.output
    curves = scaling.read_curves(files.curves)
    noise = Resamples(pd.read_parquet(files.resamples)) if params.tested else None
    options = Laws.model_validate(params.laws)
    fits = scaling.fit_curves(curves, resamples=noise, law=options.law, robust=options.robust)
    errors = scaling.wanted_errors(fits, options.errors)
    scratch = params.scratch if params.scratch in set(curves["arm"]) else None
    tables = {
        "laws": scaling.laws_table(fits),
        "parameters": scaling.parameters_table(fits),
        "comparison": scaling.comparison_table(fits),
        "bands": scaling.bands(fits),
        "extrapolation": scaling.extrapolations(fits, options.extrapolate),
        "labels": scaling.labels_for_errors(fits, errors),
        "crossover": scaling.crossovers(curves, fits, scratch=scratch, resamples=noise),
        "multiplier": scaling.data_multiplier(curves, scratch=scratch),
        "multiplier_curve": scaling.multiplier_curves(fits, scratch=scratch, resamples=noise),
        "summary": scaling.summarise(curves),
    }
    for name, table in tables.items():
        table.to_csv(output[name], index=False)
