"""Turn the labels that a study computed itself into the frames table of a fidelity."""

from pathlib import Path

from uprung.frames.intake import write_frames
from uprung.job.files import sha256
from uprung.job.logs import logged
from uprung.sources.gpaw import read_all
from uprung.sources.work_consistency import WorkTest, tested

with logged(snakemake.log[0]):
    files, target, work = [Path(file) for file in snakemake.input], Path(snakemake.output[0]), WorkTest()
    labels = read_all(files, snakemake.params.functional, snakemake.params.net_force)
    hashes = {f.name: sha256(f) for f in files}
    write_frames(
        [(tested(labels, work), frozenset())],
        target.parent,
        functional=snakemake.params.functional,
        needed=snakemake.params.needed,
        about=lambda: {
            "energy_label": snakemake.params.energy,
            "sources": hashes,
            "readers": [{"file": files[0].parent.name, "format": "gpaw", "files": hashes, "work_test": work.result()}],
        },
    )
