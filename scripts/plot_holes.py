"""Collect and draw the holes in the energy surfaces of all networks."""

import pandas as pd

from uprung.evaluation.hole_tables import arms_table, networks_table
from uprung.figures.holes import holes
from uprung.figures.style import save
from uprung.job.run import job

with job(snakemake):
    params, output = snakemake.params, snakemake.output
    starts = pd.concat([pd.read_parquet(file) for file in snakemake.input], ignore_index=True)
    arms, networks = arms_table(starts), networks_table(starts)
    arms.to_csv(output.arms, index=False)
    networks.to_csv(output.networks, index=False)
    own = [table[table["budget"].isin([params.budget, ""])] for table in (arms, networks)]
    save(holes(*own, arm_labels=params.arm_labels), output.figure)
