"""Test a pretrained network before training, with the reference energies of every run that starts from it."""

import pandas as pd
import torch

from uprung.atomref.references import ReferenceEnergies
from uprung.datasets.splits import frames_on
from uprung.datasets.store import rows_of
from uprung.evaluation.untouched import untouched_errors
from uprung.job.devices import claim
from uprung.job.run import job
from uprung.models.data import open_dataset
from uprung.models.registry import load

with job(snakemake):
    params, files = snakemake.params, snakemake.input
    torch.set_num_threads(params.threads)
    device, dataset = claim(params.device), open_dataset(files.graphs)
    test = rows_of(dataset, frames_on(pd.read_parquet(files.split), params.high, "test"))
    given = iter(files.references)
    references = {
        (arm, size, seed): ReferenceEnergies.from_frame(pd.read_csv(next(given))).values if fitted else None
        for arm, size, seed, fitted in params.runs
    }
    potential = load(next(iter(files.initial), params.model))
    table = untouched_errors(potential, dataset, test, references, targets=params.targets, device=device)
    table.to_parquet(snakemake.output[0], index=False, compression="zstd")
