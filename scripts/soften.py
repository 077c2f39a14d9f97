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
from uprung.softening.slopes import cloud, forces_of_frames, parts_table, softening_table

with job(snakemake):
    params = snakemake.params
    torch.set_num_threads(params.threads)
    device = claim(params.device)
    dataset = open_dataset(snakemake.input.graphs)
    potential = load(next(iter(snakemake.input.run), params.model), params.fidelity)
    rows = np.arange(len(dataset.energy))
    predicted = predict(potential, dataset, rows, targets=["force"], device=device)["force"]
    table = read_frames(snakemake.input.frames)
    frames = table.take(pd.Index(table.strings("frame_id")).get_indexer(dataset.keys))
    forces, _ = forces_of_frames(frames, dataset.labels(rows).forces, predicted)
    found = softening_table(forces, resamples=params.bootstrap, seed=0)
    found.assign(**model_of(dict(snakemake.wildcards.items()))).to_csv(snakemake.output.table, index=False)
    names = np.array(dataset.keys, dtype=object)
    if params.parts:
        parts = predict_by_element(potential, dataset, rows, device=params.device)
        parts_table(parts, list(names)).to_parquet(snakemake.output.parts, index=False)
    trajectories = np.array(frames.strings("trajectory"), dtype=object)
    cloud(forces, names, trajectories).to_parquet(snakemake.output.forces, index=False)
