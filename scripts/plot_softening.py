"""Collect the softening of all models on an evaluation set and draw it."""

from pathlib import Path

import pandas as pd

from uprung.figures.softening import slopes_by_material, slopes_by_size
from uprung.figures.style import save
from uprung.logs import logged

with logged(snakemake.log[0]):
    params, tables = snakemake.params, []
    for file in map(Path, snakemake.input.models):
        tables.append(pd.read_csv(file, dtype={"key": str}).assign(model=file.stem, budget="", arm="", size=""))
    for file in map(Path, snakemake.input.runs):
        budget, arm, size, seed = file.with_suffix("").parts[-4:]
        names = {"budget": budget, "arm": arm, "size": size[1:], "seed": int(seed.removeprefix("seed"))}
        tables.append(pd.read_csv(file, dtype={"key": str}).assign(model="run", **names))
    table = pd.concat(tables, ignore_index=True)
    sizes = pd.read_csv(snakemake.input.sizes, dtype={"size": str})
    table["n_frames_trained"] = table["size"].map(sizes.groupby("size")["n_frames"].mean())
    table.to_csv(snakemake.output.table, index=False)
    save(slopes_by_material(table, arm_labels=params.arm_labels, budget=params.budget), snakemake.output.materials)
    save(slopes_by_size(table, arm_labels=params.arm_labels, budget=params.budget), snakemake.output.sizes)
