"""Predict all frames of the graph store with a pretrained network as it is."""

import numpy as np
import pandas as pd
import torch

from uprung.job.devices import claim
from uprung.job.run import job
from uprung.models.data import open_dataset
from uprung.models.predict import predict
from uprung.models.registry import load

with job(snakemake):
    torch.set_num_threads(snakemake.params.threads)
    device = claim(snakemake.params.device)
    dataset = open_dataset(snakemake.input.graphs)
    potential = load(next(iter(snakemake.input.initial), snakemake.params.model))
    rows = np.arange(len(dataset.energy))
    found = predict(potential, dataset, rows, targets=["energy"], device=device)
    table = pd.DataFrame({"frame_id": dataset.keys, "energy": found["energy"], "network": found["network"]})
    table.attrs["atomref"] = potential.references.tolist()  # eV/atom, Z = 1 first
    table.to_parquet(snakemake.output[0])
