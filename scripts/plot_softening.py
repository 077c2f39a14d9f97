"""Collect the softening of all models on an evaluation set and draw it."""

from pathlib import Path

import pandas as pd

from uprung.figures.softening import force_clouds, slopes_by_material, slopes_by_size
from uprung.figures.style import save
from uprung.job.logs import logged
from uprung.softening.slopes import model_of

with logged(snakemake.log[0]):
    params, files = snakemake.params, snakemake.input
    tables = [
        pd.read_csv(file, dtype={"key": str}).assign(**model_of(Path(file))) for file in (*files.models, *files.runs)
    ]
    table = pd.concat(tables, ignore_index=True)
    sizes = pd.read_csv(files.sizes, dtype={"size": str})
    table["n_frames_trained"] = table["size"].map(sizes.groupby("size")["n_frames"].mean())
    table.to_csv(snakemake.output.table, index=False)
    names = {"arm_labels": params.arm_labels, "budget": params.budget}
    save(slopes_by_material(table, **names), snakemake.output.materials)
    save(slopes_by_size(table, **names), snakemake.output.sizes)
    clouds = [(model_of(Path(file)), file) for file in files.clouds]
    seed = min((about["seed"] for about, _ in clouds if about["model"] == "run"), default=None)
    largest = table.loc[table["n_frames_trained"].idxmax(), "size"] if seed is not None else ""
    shown = {
        params.arm_labels.get(about["arm"], about["model"]): pd.read_parquet(file)
        for about, file in clouds
        if about["model"] != "run" or (about["budget"], about["size"], about["seed"]) == (params.budget, largest, seed)
    }
    save(force_clouds(shown), snakemake.output.parity)
