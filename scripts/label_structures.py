"""Compute the labels of a chunk of structures, or what is still missing of them."""

from pathlib import Path

from uprung.dft.gpaw import gpaw_engine
from uprung.dft.labels import Scheme, State, labelled, write_labels
from uprung.dft.structures import chunk, read_structures
from uprung.job.run import job

with job(snakemake):
    engine, scheme = gpaw_engine(), Scheme(**snakemake.params.scheme)
    number = int(snakemake.wildcards.chunk)
    structures = chunk(read_structures(Path(snakemake.input[0]), scheme.k_density), snakemake.params.chunk_size, number)
    state = State(Path(snakemake.params.state), f"chunk{number}")
    write_labels(labelled(structures, scheme, engine, state), Path(snakemake.output[0]))
