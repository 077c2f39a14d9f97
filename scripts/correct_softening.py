"""Correct the forces of every model on an evaluation set with few labelled structures."""

import pandas as pd

from uprung.figures.correction import correction
from uprung.figures.style import save
from uprung.frames.csv import read_table
from uprung.job.run import job
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
from uprung.softening.models import MODEL, TEXT

with job(snakemake):
    params, files, tables, draws = snakemake.params, snakemake.input, [], []
    models = [read_table(file, TEXT)[MODEL].iloc[0].to_dict() for file in files.tables]
    trained = dict(zip((model["model"] for model in models), map(pd.read_csv, files.trained), strict=False))
    for n, (file, model) in enumerate(zip(files.clouds, models, strict=True)):
        cloud, found = pd.read_parquet(file), {}
        closed = {NUMBER: by_number} if NUMBER in params.methods else {}
        if PER_ELEMENT in params.methods:
            closed[PER_ELEMENT] = ByElement(pd.read_parquet(files.parts[n]))
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
