"""Read a table of given points into learning curves."""

from uprung.job.run import job
from uprung.scaling.points import read_points

with job(snakemake):
    found = read_points(snakemake.input[0], smallest=snakemake.params.smallest)
    found.curves.to_csv(snakemake.output.curves, index=False)
    found.left_out.to_csv(snakemake.output.left_out, index=False)
