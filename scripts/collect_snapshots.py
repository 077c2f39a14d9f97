"""Put the chunks of sampled snapshots together, list what was given up, write VASP inputs where they are asked for."""

import json
from pathlib import Path

import ase.io

from uprung.config.snapshots import Snapshots
from uprung.job.files import write_json
from uprung.job.run import job
from uprung.softening.snapshots import write_vasp_inputs

with job(snakemake):
    options = Snapshots.model_validate(snakemake.params.snapshots)
    frames = [
        frame
        for file in snakemake.input.frames
        for frame in ase.io.read(file, ":", format="extxyz")  # noqa: TID251
    ]
    facts = [entry for file in snakemake.input.facts for entry in json.loads(Path(file).read_text())]
    folder = Path(snakemake.output.vasp)
    folder.mkdir(parents=True, exist_ok=True)
    for functional in options.vasp:
        write_vasp_inputs(frames, folder / functional, functional)
    ase.io.write(snakemake.output.frames, frames, format="extxyz")
    given_up = [entry for entry in facts if entry["reason"]]
    counts = {"crystals": len(facts), "frames": len(frames), "given_up": given_up}
    write_json(snakemake.output.manifest, {"protocol": options.model_dump(), **counts})
