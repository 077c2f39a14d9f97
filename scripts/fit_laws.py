"""Fit scaling laws to the learning curves; derive crossovers and data multipliers."""

import pandas as pd

from uprung.logs import logged
from uprung.scaling import crossovers, data_multiplier, fit_laws, summarise

with logged(snakemake.log[0]):
    curves = pd.read_csv(snakemake.input[0], keep_default_na=False, dtype={"size": str})
    laws = fit_laws(curves)
    laws.to_csv(snakemake.output.laws, index=False)
    summarise(curves).to_csv(snakemake.output.summary, index=False)
    scratch = snakemake.params.scratch
    crossovers(curves, laws, scratch=scratch).to_csv(snakemake.output.crossover, index=False)
    data_multiplier(curves, scratch=scratch).to_csv(snakemake.output.multiplier, index=False)
