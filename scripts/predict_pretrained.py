"""Predict all frames of the graph store with a pretrained network as it is."""

import numpy as np
import pandas as pd
import torch

from uprung.datasets.store import open_dataset
from uprung.job.devices import claim
from uprung.job.logs import logged
from uprung.models.chgnet.checkpoint import atomref, load_chgnet
from uprung.models.predict import predict

with logged(snakemake.log[0]):
    torch.set_num_threads(snakemake.params.threads)
    device = claim(snakemake.params.device)
    dataset = open_dataset(snakemake.input.graphs)
    model = load_chgnet(next(iter(snakemake.input.initial), snakemake.params.model.removeprefix("chgnet-")))
    rows = np.arange(len(dataset.energy))
    found = predict([model], dataset, rows, targets=["energy"], device=device)
    table = pd.DataFrame({"frame_id": dataset.graphs.keys, "energy": found["energy"], "network": found["network"]})
    table.attrs["atomref"] = atomref(model).tolist()  # eV/atom, Z = 1 first
    table.to_parquet(snakemake.output[0])
