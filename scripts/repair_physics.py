"""Repair the properties of one checkpoint with few labelled structures: by one number, and by training on them."""

from pathlib import Path

import pandas as pd
import torch

from uprung.config.physics import Physics
from uprung.config.training import Training
from uprung.frames.csv import read_table
from uprung.frames.table import read_frames
from uprung.job.run import job
from uprung.models.data import open_dataset
from uprung.physics.labels import compositions_of, fits, pool_of
from uprung.physics.networks import check_packages
from uprung.physics.references import read_set
from uprung.physics.repair import repaired
from uprung.physics.results import Accuracy
from uprung.physics.retested import Retested
from uprung.physics.tables import TEXT

with job(snakemake):
    params, given = snakemake.params, snakemake.input
    torch.set_num_threads(params.threads)
    options, same = Physics.model_validate(params.physics), params.labels == "same"
    check_packages(options.sets.values())
    sets = {name: (entry, read_set(entry, params.files[name])) for name, entry in options.sets.items()}
    materials = {name: own for name, (_, own) in sets.items()}
    judged = [atoms for own in materials.values() for material in own for atoms in material.structures]
    pool = pool_of(pd.read_parquet(given.forces), read_frames(given.frames), judged)
    draws = list(fits(pool, compositions_of(materials), same=same, shots=params.shots, draws=params.draws, seed=0))
    retest = Retested.of(
        next(iter(given.network), snakemake.wildcards.model),
        open_dataset(given.graphs),
        {name: sets[name] for name in params.tuned},
        Accuracy(options.force, options.stress, options.steps),
        Path(params.state),
        recipe=Training.model_validate(params.recipe),
        epochs=params.epochs,
        code=params.code,
    )
    values = read_table(given.values, TEXT)
    found = repaired(values[values["set"].isin(list(sets))], draws, params.shots, params.tuned, retest, same=same)
    found.assign(**params.about).to_csv(snakemake.output[0], index=False)
