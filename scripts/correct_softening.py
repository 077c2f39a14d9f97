"""Correct the forces of every model on an evaluation set with few labelled structures."""

from pathlib import Path

import pandas as pd

from uprung.figures.correction import correction
from uprung.figures.style import save
from uprung.job.logs import logged
from uprung.softening.force_correction import (
    NUMBER,
    PER_ELEMENT,
    TRAINING,
    ByElement,
    against_number,
    by_number,
    correction_table,
    drawn,
)
from uprung.softening.slopes import model_of

with logged(snakemake.log[0]):
    params, tables, draws = snakemake.params, [], []
    trained = {Path(file).stem: pd.read_csv(file) for file in snakemake.input.trained}
    for n, file in enumerate(map(Path, snakemake.input.clouds)):
        cloud, model, found = pd.read_parquet(file), model_of(file), {}
        closed = {NUMBER: by_number} if NUMBER in params.methods else {}
        if PER_ELEMENT in params.methods:
            closed[PER_ELEMENT] = ByElement(pd.read_parquet(snakemake.input.parts[n]))
        for name, method in closed.items():
            found[name] = drawn(cloud, method, name=name, shots=params.shots, draws=params.draws, seed=0)
        if model["model"] in trained:
            found[TRAINING] = trained[model["model"]]
        if found:
            own = against_number(pd.concat(found.values(), ignore_index=True))
            table = correction_table(cloud, own, methods=list(found), shots=params.shots)
            draws.append(own.assign(**model))
            tables.append(table.assign(**model))
    table = pd.concat(tables, ignore_index=True)
    table.to_csv(snakemake.output.table, index=False)
    pd.concat(draws, ignore_index=True).to_parquet(snakemake.output.draws, index=False)
    shown = table[(table["model"] != "run") | (table["budget"] == params.budget)]
    shown = shown.assign(model=shown["model"].where(shown["model"] != "run", shown["arm"]))
    names = {name: name for name in shown.loc[shown["arm"] == "", "model"]} | dict(params.arm_labels)
    save(correction(shown, labels=names), snakemake.output.figure)
