"""Test the pretrained checkpoint as it is on the held-out frames of the source fidelity."""

import pandas as pd
import torch

from uprung.datasets.splits import sample
from uprung.datasets.store import open_dataset, rows_of
from uprung.evaluation.errors import source_errors
from uprung.job.devices import claim
from uprung.job.files import write_json
from uprung.job.logs import logged
from uprung.models.chgnet.checkpoint import load_chgnet

with logged(snakemake.log[0]):
    params = snakemake.params
    torch.set_num_threads(params.threads)
    device = claim(params.device)
    low = open_dataset(snakemake.input.source[0])
    split = pd.read_parquet(snakemake.input.split)
    held, fitted = (rows_of(low, sample(split, params.low, side, params.frames)) for side in ("test", "train"))
    errors = source_errors(
        [load_chgnet(params.model.removeprefix("chgnet-"))],
        low,
        test=held,
        train=fitted,
        targets=params.targets,
        device=device,
    )
    write_json(snakemake.output[0], errors)
