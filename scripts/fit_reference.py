"""Fit one set of reference energies on the subset of one size and seed."""

import numpy as np
import pandas as pd

from uprung.atomref.fit import Estimator, Labelled, energies_of_elements, fit_reference
from uprung.config.arms import ReferenceFit
from uprung.datasets.sizes import subset
from uprung.frames.table import read_frames
from uprung.job.logs import logged

with logged(snakemake.log[0]):
    options, params = ReferenceFit.model_validate(snakemake.params.reference), snakemake.params
    split = pd.read_parquet(snakemake.input.split)
    order = pd.read_parquet(snakemake.input.order)
    low, high = read_frames(snakemake.input.low), read_frames(snakemake.input.high)
    low_train = split[(split["fidelity"] == params.low) & (split["split"] == "train")]
    chosen = order if options.scope == "train" else subset(order, params.size)
    rows, low_rows = chosen["row"].to_numpy(), low_train["row"].to_numpy()
    used = split.loc[(split["fidelity"] == params.high) & (split["split"] != "excluded"), "row"].to_numpy()
    X_low, X_high = low.composition(), high.composition()
    residual, elements = None, None
    if options.labels == "residual":
        pretrained = pd.read_parquet(snakemake.input.pretrained[0])
        network = pretrained.set_index("frame_id").loc[chosen["frame_id"], "network"].to_numpy()
        residual = (network, np.asarray(pretrained.attrs["atomref"]))
    if options.elements:
        elements = energies_of_elements(
            read_frames(snakemake.input.elements[0]),
            options.estimator,
            label=params.label_high,
            fidelity=options.elements,
            wanted=(params.high, high.manifest["label_scale"]),
        )
    reference, _ = fit_reference(
        options.labels,
        target=Labelled(
            X_high[rows],
            (high.label(params.label_high) / high.nsites)[rows],
            chosen["material_id"].to_numpy(dtype=str),
            chosen["group"].to_numpy(dtype=str),
        ),
        source=Labelled(
            X_low[low_rows],
            (low.label(params.label_low) / low.nsites)[low_rows],
            low_train["material_id"].to_numpy(dtype=str),
            low_train["group"].to_numpy(dtype=str),
        ),
        needed=(X_high[used] > 0).any(axis=0),
        residual=residual,
        policy=options.unseen,
        estimator=Estimator(
            options.estimator,
            strength=options.strength,
            threshold=options.threshold or 1.345,
            elements=elements,
            resamples=options.bootstrap or 0,
            seed=int(snakemake.wildcards.seed),
        ),
    )
    reference.to_frame().to_csv(snakemake.output[0], index=False, float_format="%.10g")
