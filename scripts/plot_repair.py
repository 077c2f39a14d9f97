"""Collect and draw the properties of all checkpoints after a repair with few labels."""

import pandas as pd

from uprung.figures.repair import repair
from uprung.figures.style import save
from uprung.frames.csv import read_table
from uprung.job.run import job
from uprung.physics.repair_tables import TEXT, repair_table
from uprung.physics.tables import TEXT as VALUES

with job(snakemake):
    params, output = snakemake.params, snakemake.output
    values = pd.concat([read_table(file, (*VALUES, *TEXT)) for file in snakemake.input], ignore_index=True)
    kinds = pd.DataFrame.from_dict(params.kinds, orient="index", columns=["test", "functional"])
    values = values.join(kinds, on="set")
    table = repair_table(
        values, resamples=params.bootstrap, seed=0, tolerance=params.tolerance, shared=params.labels == "others"
    )
    table.to_csv(output.table, index=False)
    save(repair(table), output.figure)
