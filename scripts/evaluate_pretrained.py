"""Test the pretrained checkpoint as it is on the held-out frames of the source fidelity."""

import pandas as pd
import torch

from uprung.evaluation.errors import sampled_source_errors
from uprung.job.devices import claim
from uprung.job.files import write_json
from uprung.job.run import job
from uprung.models.data import open_dataset
from uprung.models.registry import load

with job(snakemake):
    params = snakemake.params
    torch.set_num_threads(params.threads)
    asked = {"targets": params.targets, "device": claim(params.device)}
    source, split = open_dataset(snakemake.input.source[0]), pd.read_parquet(snakemake.input.split)
    potential = load(next(iter(snakemake.input.initial), params.model))
    errors = sampled_source_errors(potential, source, split, params.low, params.frames, **asked)
    write_json(snakemake.output[0], errors)
