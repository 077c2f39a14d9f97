"""Turn the labels that a study computed itself into the frames table of a fidelity."""

from pathlib import Path

from uprung.frames import sha256, write_frames
from uprung.logs import logged
from uprung.sources.gpaw import read_all
from uprung.sources.work import WorkTest, checked

with logged(snakemake.log[0]):
    files, target, work = [Path(file) for file in snakemake.input], Path(snakemake.output[0]), WorkTest()
    labels = read_all(files, snakemake.params.functional, snakemake.params.net_force)
    write_frames(
        [(checked(labels, work, files[0].parent), frozenset())],
        target.parent,
        functional=snakemake.params.functional,
        needed=snakemake.params.needed,
        about=lambda: {
            "energy_label": snakemake.params.energy,
            "sources": {f.name: sha256(f) for f in files},
            "readers": [{"file": files[0].parent.name, "format": "gpaw", "work_test": work.result()}],
        },
    )
