"""Relax random structures with the networks of an arm, or with the checkpoint as it is, and look for holes."""

import pandas as pd
import torch

from uprung.config.tests import Holes
from uprung.evaluation.holes import holes_of, starts_of
from uprung.frames.table import read_frames
from uprung.job.devices import claim
from uprung.job.logs import progress
from uprung.job.run import job
from uprung.models.data import open_dataset
from uprung.models.registry import load

COLUMNS = ["frame_id", "nsites", "Z", "lattice"]

with job(snakemake):
    params, inputs = snakemake.params, snakemake.input
    torch.set_num_threads(params.threads)
    device, options = claim(params.device), Holes.model_validate(params.holes)
    dataset, split = open_dataset(inputs.graphs), pd.read_parquet(inputs.split)
    test = split[(split["fidelity"] == params.high) & (split["split"] == "test")]
    frames = read_frames(inputs.frames, columns=COLUMNS)
    starts, found = starts_of(frames, dataset, test["frame_id"].tolist(), options), []
    networks = inputs.models or [params.model]
    with progress(len(networks), "networks", "network") as bar:
        for network, run in zip(networks, params.runs, strict=True):
            potential = load(network, params.fidelity)
            found.append(holes_of(potential, starts, dataset, options, device=device).assign(**run))
            bar.update()
    pd.concat(found, ignore_index=True).to_parquet(snakemake.output[0])
