"""Fit scaling laws to the learning curves; derive crossovers, data multipliers and extrapolations; check the laws."""

from pathlib import Path

import pandas as pd
import yaml

from uprung import scaling
from uprung.config.laws import Laws
from uprung.job.run import job
from uprung.scaling.joint import source_sizes
from uprung.scaling.materials import MaterialErrors

with job(snakemake):
    params, files, output = snakemake.params, snakemake.input, snakemake.output
    curves = scaling.read_curves(files.curves)
    noise = MaterialErrors(pd.read_parquet(files.materials), resamples=params.bootstrap) if params.bootstrap else None
    cards = [yaml.safe_load(Path(file).read_text(encoding="utf-8")) for file in files.get("pretraining", [])]
    sizes = dict(zip(params.pretraining, (card["n_train"] for card in cards), strict=True))
    tables = scaling.law_tables(
        curves,
        Laws.model_validate(params.laws),
        scratch=params.scratch,
        compared=params.get("compared"),
        materials=noise,
        sources=source_sizes(params.networks, sizes),
    )
    for name, table in (tables | {"summary": scaling.summarise(curves)}).items():
        table.to_csv(output[name], index=False)
