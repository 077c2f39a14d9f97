"""Pair the frames of two fidelities; stop where nothing can be compared, labels are the same, or a unit apart."""

import json
import logging
from pathlib import Path

from uprung.frames.table import read_frames
from uprung.job.files import write_json
from uprung.job.run import job
from uprung.labels.identical import identical_labels, require_two_functionals
from uprung.labels.scale import label_slopes, require_like_labels
from uprung.labels.settings import unlike_settings
from uprung.structures.identity import COLUMNS as GEOMETRY
from uprung.structures.pairs import match_frames, require_pairs

LABELS = ["energy", "energy_free", "correction", "forces", "stress_gpa", "magmom"]

with job(snakemake):
    params, name = snakemake.params, snakemake.wildcards.pair
    low, high = (
        read_frames(side, columns=["frame_id", "material_id", *GEOMETRY, *LABELS])
        for side in (snakemake.input.low, snakemake.input.high)
    )
    labels = params.label_low, params.label_high
    table, counts = match_frames(low, high, match=params.match, tolerance=params.tolerance, labels=labels)
    require_pairs(name, low, high, counts)
    same, slopes = identical_labels(low, high, table, labels), label_slopes(low, high, table, labels)
    counts["warnings"] += require_two_functionals(name, same, stated=params.identical_labels)
    manifests = (
        json.loads(Path(side).read_text(encoding="utf-8")) for side in (snakemake.input.low, snakemake.input.high)
    )
    counts["warnings"] += unlike_settings(*manifests)

    counts["warnings"] += require_like_labels(name, slopes, stated=params.unlike_labels)
    for warning in counts["warnings"]:
        logging.warning("pair %s: %s", name, warning)
    table.to_parquet(snakemake.output.table)
    write_json(snakemake.output.manifest, {**counts, "identical_labels": same, "label_slopes": slopes})
