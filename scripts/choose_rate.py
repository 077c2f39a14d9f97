"""Choose the learning rate of an arm by the validation of its trials."""

import pandas as pd

from uprung.job.run import job
from uprung.training.tuning import choose_rate

with job(snakemake):
    params = snakemake.params
    trials = {rate: pd.read_csv(file) for rate, file in zip(params.rates, snakemake.input, strict=True)}
    choose_rate(trials, keep=params.keep).to_csv(snakemake.output[0], index=False)
