"""Test the study's reference fits alone on held-out frames, for every size and seed."""

import numpy as np
import pandas as pd

from uprung.atomref.compare import ComparedFit, Held, compare_references
from uprung.atomref.fit import Estimator, Labelled, energies_of_elements
from uprung.config.arms import ReferenceFit
from uprung.frames.table import read_frames
from uprung.job.logs import logged

with logged(snakemake.log[0]):
    params, files = snakemake.params, snakemake.input
    split = pd.read_parquet(files.split)
    low, high = read_frames(files.low), read_frames(files.high)
    tables = {name: read_frames(file) for name, file in zip(params.elements, files.elements, strict=True)}
    high_split = split[split["fidelity"] == params.high].sort_values("row")
    low_train = split[(split["fidelity"] == params.low) & (split["split"] == "train")]
    low_rows, used = low_train["row"].to_numpy(), high_split["split"] != "excluded"
    X_low, X_high = low.composition(), high.composition()
    candidates = []
    for name, values in params.references.items():
        options = ReferenceFit.model_validate(values)
        elements = options.elements and energies_of_elements(
            tables[options.elements],
            options.estimator,
            label=params.label_high,
            fidelity=options.elements,
            wanted=(params.high, high.manifest["label_scale"]),
        )
        estimator = Estimator(
            options.estimator,
            strength=options.strength,
            threshold=options.threshold or 1.345,
            elements=elements,
        )
        candidates.append(ComparedFit(name, options.labels, estimator, options.scope, options.unseen))
    held = Held(
        frames=Labelled(
            X_high,
            high.label(params.label_high) / high.nsites,
            high_split["material_id"].to_numpy(dtype=str),
            high_split["group"].to_numpy(dtype=str),
        ),
        source=Labelled(
            X_low[low_rows],
            (low.label(params.label_low) / low.nsites)[low_rows],
            low_train["material_id"].to_numpy(dtype=str),
            low_train["group"].to_numpy(dtype=str),
        ),
        test=np.flatnonzero(high_split["split"] == "test"),
        needed=(X_high[used] > 0).any(axis=0),
        orders={seed: pd.read_parquet(file) for seed, file in zip(params.seeds, files.orders, strict=True)},
        sizes=params.sizes,
    )
    table, summary = compare_references(candidates, held, baseline=params.baseline, resamples=params.resamples)
    table.to_csv(snakemake.output.table, index=False, float_format="%.10g")
    summary.to_csv(snakemake.output.summary, index=False, float_format="%.10g")
