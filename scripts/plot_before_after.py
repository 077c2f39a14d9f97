"""Draw errors after training against errors before it."""

from uprung.figures.before_after import before_after, before_after_table
from uprung.figures.style import save
from uprung.frames.csv import read_table
from uprung.job.run import job

with job(snakemake):
    params = snakemake.params
    history = read_table(snakemake.input[0])
    table = before_after_table(history, params.inits, params.targets)
    table.to_csv(snakemake.output.table, index=False)
    save(before_after(table[table["budget"] == params.budget], arm_labels=params.arm_labels), snakemake.output.svg)
