"""Read the sources of a fidelity into its frames table, without copies; refuse one without labels that are trained."""

from pathlib import Path

from uprung.config.base import parse_elements
from uprung.config.data import Fidelity
from uprung.frames.intake import write_frames
from uprung.job.logs import logged
from uprung.sources import digests, open_source
from uprung.structures.duplicates import leave_out_duplicates

with logged(snakemake.log[0]):
    fidelity = Fidelity.model_validate(snakemake.params.fidelity)
    files = [Path(file) for file in snakemake.input]
    sources = [
        open_source(source.format, file, fidelity.functional, source.label_scale)
        for source, file in zip(fidelity.sources, files, strict=True)
    ]
    write_frames(
        [
            (opened.records(), parse_elements(source.exclude_elements))
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
    leave_out_duplicates(Path(snakemake.output[0]))
