"""Collect the softening of all models on an evaluation set and draw it."""

import pandas as pd

from uprung.figures.softening import force_clouds, slopes_by_material, slopes_by_size
from uprung.figures.structures import structures
from uprung.figures.style import save
from uprung.frames.csv import read_table
from uprung.frames.table import read_frames
from uprung.job.run import job
from uprung.softening.models import TEXT
from uprung.softening.softest import shown_materials

with job(snakemake):
    params, files, output = snakemake.params, snakemake.input, snakemake.output
    tables = [read_table(file, TEXT) for file in (*files.models, *files.runs)]
    table = pd.concat(tables, ignore_index=True)
    sizes = read_table(files.sizes)
    table["n_frames_trained"] = table["size"].map(sizes.groupby("size")["n_frames"].mean())
    table.to_csv(output.table, index=False)
    names = {"arm_labels": params.arm_labels, "budget": params.budget}
    save(slopes_by_material(table, **names), output.materials)
    save(slopes_by_size(table, **names), output.sizes)
    runs = table[table["model"] == "run"]
    seed = runs["seed"].min()
    largest = table.loc[table["n_frames_trained"].idxmax(), "size"] if len(runs) else ""
    shown = {
        params.arm_labels.get(about["arm"], about["model"]): pd.read_parquet(file)
        for about, file in zip((each.iloc[0] for each in tables), files.clouds, strict=True)
        if about["model"] != "run" or (about["budget"], about["size"], about["seed"]) == (params.budget, largest, seed)
    }
    save(force_clouds(shown), output.parity)
    softest, frames = shown_materials(table), read_frames(files.frames)
    first = dict(zip(frames.strings("material_id")[::-1], frames.strings("frame_id")[::-1], strict=True))
    titles = [f"{row.material}\nslope {row.slope:.2f} ({row.model})" for row in softest.itertuples()]
    save(structures(frames.atoms([first[name] for name in softest["material"]]), titles), output.structures)
