"""Draw the errors of reference energies alone against training-set size."""

from uprung.figures.reference_comparison import reference_errors
from uprung.figures.style import save
from uprung.frames.csv import read_table
from uprung.job.run import job

with job(snakemake):
    summary = read_table(snakemake.input[0], ("reference", "size", "population"))
    save(reference_errors(summary, baseline=snakemake.params.baseline), snakemake.output.svg)
