"""Draw the errors of reference energies alone against training-set size."""

import pandas as pd

from uprung.figures.reference_comparison import reference_errors
from uprung.figures.style import save
from uprung.job.logs import logged

with logged(snakemake.log[0]):
    summary = pd.read_csv(snakemake.input[0], keep_default_na=False, na_values=[""], dtype={"reference": str})
    save(reference_errors(summary, baseline=snakemake.params.baseline), snakemake.output.svg)
