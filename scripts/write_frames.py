"""Read the sources of a fidelity into its frames table; refuse a fidelity without the labels that are trained."""

from pathlib import Path

from uprung.config.data import Fidelity
from uprung.frames.intake import write_frames
from uprung.job.logs import logged
from uprung.sources import digests, open_source

with logged(snakemake.log[0]):
    fidelity = Fidelity.model_validate(snakemake.params.fidelity)
    files = [Path(file) for file in snakemake.input]
    sources = [
        open_source(source.format, file, fidelity.functional, source.label_scale)
        for source, file in zip(fidelity.sources, files, strict=True)
    ]
    write_frames(
        [
            (opened.records(), frozenset(map(int, source.exclude_elements)))
            for opened, source in zip(sources, fidelity.sources, strict=True)
        ],
        Path(snakemake.output[0]).parent,
        functional=fidelity.functional,
        needed=snakemake.params.needed,
        about=lambda: {
            "energy_label": fidelity.energy,
            "sources": digests(sources),
            "readers": [opened.facts() for opened in sources],
        },
    )
