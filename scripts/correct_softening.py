"""Correct the forces of every model on an evaluation set by one number."""

from pathlib import Path

import pandas as pd

from uprung.correction import correction_table
from uprung.figures.correction import correction
from uprung.figures.style import save
from uprung.logs import logged
from uprung.softening import model_of

with logged(snakemake.log[0]):
    params, tables = snakemake.params, []
    for file in map(Path, snakemake.input):
        found = correction_table(pd.read_parquet(file), **params.correction, seed=0)
        tables.append(found.assign(**model_of(file)))
    table = pd.concat(tables, ignore_index=True)
    table.to_csv(snakemake.output.table, index=False)
    shown = table[(table["model"] != "run") | (table["budget"] == params.budget)]
    shown = shown.assign(model=shown["model"].where(shown["model"] != "run", shown["arm"]))
    names = {name: name for name in shown.loc[shown["arm"] == "", "model"]} | dict(params.arm_labels)
    save(correction(shown, labels=names), snakemake.output.figure)
