"""Pair the frames of two fidelities."""

from uprung.frames.table import read_frames
from uprung.job.files import write_json
from uprung.job.run import job
from uprung.structures.pairs import match_frames

with job(snakemake):
    table, counts = match_frames(
        read_frames(snakemake.input.low),
        read_frames(snakemake.input.high),
        match=snakemake.params.match,
        tolerance=snakemake.params.tolerance,
    )
    table.to_parquet(snakemake.output.table)
    write_json(snakemake.output.manifest, counts)
