"""Draw the reference energies fitted on the largest subset, and list those of every size."""

import itertools

import pandas as pd

from uprung.figures.atomref import reference_values
from uprung.figures.style import save
from uprung.job.run import job

with job(snakemake):
    names = list(itertools.product(snakemake.params.references, snakemake.params.sizes))
    tables = {
        name: pd.read_csv(file, keep_default_na=False, na_values=[""])
        for name, file in zip(names, snakemake.input, strict=True)
    }
    pd.concat([table.assign(reference=r, size=s) for (r, s), table in tables.items()]).to_csv(
        snakemake.output.table, index=False
    )
    smallest, largest = snakemake.params.sizes[0], snakemake.params.sizes[-1]
    shown = {f"{r}, n = {s}": tables[r, s] for r in snakemake.params.references for s in (largest, smallest)}
    save(reference_values(shown), snakemake.output.svg)
