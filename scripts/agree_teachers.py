"""Label source frames of training materials by several teachers, and keep those on which they agree."""

from pathlib import Path

import pandas as pd
import torch

from uprung.datasets.splits import frames_on
from uprung.datasets.store import rows_of
from uprung.job.devices import claim
from uprung.job.files import sha256, write_json
from uprung.job.run import job
from uprung.models.data import open_dataset
from uprung.training.teachers import save_pseudo_labels, teach

with job(snakemake):
    params, files = snakemake.params, snakemake.input
    torch.set_num_threads(params.threads)
    dataset, split = open_dataset(files.graphs), pd.read_parquet(files.split)
    rows = rows_of(dataset, frames_on(split, params.low, "train"))
    asked = {"targets": params.targets, "limits": params.limits, "device": claim(params.device)}
    found, counts = teach(dataset, rows, params.teachers, **asked)
    save_pseudo_labels(snakemake.output.labels, found)
    files_of = {str(file): sha256(Path(file)) for file in files.teachers}
    hashes = {"files": files_of, "sha256": sha256(Path(snakemake.output.labels))}
    write_json(snakemake.output.manifest, {**counts, "networks": params.teachers, **hashes})
