"""Pair the frames of two fidelities; stop where nothing can be compared, labels are the same, or a unit apart."""

import logging

from uprung.frames.table import read_frames
from uprung.job.files import write_json
from uprung.job.run import job
from uprung.labels.pairing import pair_frames
from uprung.structures.identity import COLUMNS as GEOMETRY

LABELS = ["energy", "energy_free", "correction", "forces", "stress_gpa", "magmom"]

with job(snakemake):
    params, name = snakemake.params, snakemake.wildcards.pair
    low, high = (
        read_frames(side, columns=["frame_id", "material_id", *GEOMETRY, *LABELS])
        for side in (snakemake.input.low, snakemake.input.high)
    )
    found = pair_frames(
        name,
        low,
        high,
        labels=(params.label_low, params.label_high),
        match=params.match,
        tolerance=params.tolerance,
        identical=params.identical_labels,
        unlike=params.unlike_labels,
    )
    for warning in found.warnings:
        logging.warning("pair %s: %s", name, warning)
    found.table.to_parquet(snakemake.output.table)
    write_json(snakemake.output.manifest, found.facts)
