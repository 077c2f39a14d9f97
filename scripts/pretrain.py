"""Pretrain a network on the source fidelity, from random weights, for arms to start from."""

from functools import partial
from pathlib import Path

import pandas as pd

from uprung.config.tracking import Tracking
from uprung.config.training import Pretraining, Training
from uprung.datasets.sizes import subset
from uprung.datasets.splits import frames_on
from uprung.datasets.store import Rows, rows_of
from uprung.job.run import job
from uprung.models.data import open_dataset
from uprung.training.arms import begin_pretraining, sides
from uprung.training.run import Job, run_job

with job(snakemake):
    params, files = snakemake.params, snakemake.input
    options = Pretraining.model_validate(params.pretraining)
    dataset, split = open_dataset(files.graphs), pd.read_parquet(files.split)
    chosen = subset(pd.read_parquet(files.order), options.size)
    everything = Rows(dataset, rows_of(dataset, frames_on(split, params.low, "train")))
    task = Job(
        name=params.run,
        what=f"pretraining {snakemake.wildcards.network}",
        results=Path(params.results),
        recipe=Training.model_validate(params.recipe),
        budget=options,
        seed=options.seed,
        targets=params.targets,
        target=params.low,
        source=params.low,
        options={key: params[key] for key in ("pretraining", "recipe", "targets")},
        tracking=Tracking.model_validate(snakemake.config.get("tracking", {})),  # no parameter: it decides no number
    )
    rows = (everything, *sides(dataset, split, chosen, params.low))
    beginning = partial(begin_pretraining, *rows, seed=options.seed)
    run_job(task, beginning, chosen, inputs=list(files), outputs=dict(snakemake.output.items()), code=params.code)
