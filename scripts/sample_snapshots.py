"""Sample the high-energy snapshots of a chunk of crystals, or what is still missing of them."""

from pathlib import Path

import ase.io
import torch

from uprung.dft.structures import chunk, read_structures
from uprung.job.devices import claim
from uprung.job.files import write_json
from uprung.job.logs import progress
from uprung.job.run import job
from uprung.models.calculator import calculator
from uprung.softening.snapshots import Protocol, sample_all

with job(snakemake):
    params = snakemake.params
    torch.set_num_threads(params.threads)
    device = claim(params.device)
    number = int(snakemake.wildcards.chunk)
    # the k density plays no part here
    structures = chunk(read_structures(Path(snakemake.input[0]), 1.0), params.chunk_size, number)
    potential = calculator(params.model, device=device)
    state = Path(params.state)
    frames, facts = [], []
    with progress(len(structures), f"snapshots of {snakemake.wildcards.snapshots}", "crystal") as bar:
        for structure, found, reason in sample_all(
            structures, potential, Protocol(**params.protocol), seed=params.seed, state=state
        ):
            frames += found
            facts.append({"structure": structure.name, "frames": len(found), "reason": reason})
            bar.update()
    ase.io.write(snakemake.output.frames, frames, format="extxyz")
    write_json(snakemake.output.facts, facts)
