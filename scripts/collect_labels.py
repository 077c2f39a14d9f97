"""Turn the labels that a study computed itself into the frames table of a fidelity."""

from pathlib import Path

from uprung.frames.intake import write_frames
from uprung.job.files import sha256
from uprung.job.run import job
from uprung.sources.gpaw import read
from uprung.sources.work_consistency import WorkTest, tested

with job(snakemake):
    files, target, work = [Path(file) for file in snakemake.input], Path(snakemake.output[0]), WorkTest()
    params, hashes = snakemake.params, {file.name: sha256(file) for file in files}
    labels = (record for file in files for record in read(file, params.functional, net_force=params.net_force))
    write_frames(
        [(tested(labels, work), frozenset())],
        target.parent,
        functional=params.functional,
        energy=params.energy,
        needed=params.needed,
        about=lambda: {
            "energy_label": params.energy,
            "sources": hashes,
            "readers": [{"file": files[0].parent.name, "format": "gpaw", "files": hashes, "work_test": work.result()}],
        },
    )
