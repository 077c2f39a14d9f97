"""Hold the forces of one model against those of an evaluation set."""

import numpy as np
import pandas as pd
import torch

from uprung.frames.table import read_frames
from uprung.job.devices import claim
from uprung.job.run import job
from uprung.models.data import open_dataset
from uprung.models.predict import predict, predict_by_element
from uprung.models.registry import load
from uprung.softening.models import model_of
from uprung.softening.slopes import cloud, forces_of, parts_table, softening_table

with job(snakemake):
    params = snakemake.params
    torch.set_num_threads(params.threads)
    device = claim(params.device)
    dataset = open_dataset(snakemake.input.graphs)
    potential = load(next(iter(snakemake.input.run), params.model), params.fidelity)
    rows = np.arange(len(dataset.energy))
    predicted = predict(potential, dataset, rows, targets=["force"], device=device)["force"]
    table = read_frames(snakemake.input.frames)
    about = pd.DataFrame({name: table.strings(name) for name in ("frame_id", "material_id", "run_type", "trajectory")})
    about = about.set_index("frame_id").loc[dataset.keys]
    forces, _ = forces_of(
        dataset.labels(rows).forces,
        predicted,
        np.diff(dataset.offsets),
        about["material_id"].to_numpy(dtype=object),
        about["run_type"].to_numpy(dtype=object),
        about["trajectory"].to_numpy(dtype=object),
    )
    found = softening_table(forces, resamples=params.bootstrap, seed=0)
    found.assign(**model_of(dict(snakemake.wildcards.items()))).to_csv(snakemake.output.table, index=False)
    names = np.array(dataset.keys, dtype=object)
    if params.parts:
        parts = predict_by_element(potential, dataset, rows, device=params.device)
        parts_table(parts, list(names)).to_parquet(snakemake.output.parts, index=False)
    cloud(forces, names, about["trajectory"].to_numpy(dtype=object)).to_parquet(snakemake.output.forces, index=False)
