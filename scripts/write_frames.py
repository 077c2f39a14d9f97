"""Read the sources of a fidelity into its frames table, without copies; refuse one without labels that are trained."""

from pathlib import Path

from uprung.config.data import Fidelity
from uprung.frames.intake import write_frames
from uprung.job.run import job
from uprung.sources import OpenSource, digests
from uprung.sources.settings import Settings
from uprung.structures.duplicates import leave_out_duplicates

with job(snakemake):
    fidelity, settings = Fidelity.model_validate(snakemake.params.fidelity), Settings()
    sources = [
        OpenSource(source, Path(file), fidelity.functional, settings)
        for source, file in zip(fidelity.sources, snakemake.input, strict=True)
    ]
    write_frames(
        [(source.records(), source.unwanted) for source in sources],
        Path(snakemake.output[0]).parent,
        functional=fidelity.functional,
        energy=fidelity.energy,
        needed=snakemake.params.needed,
        about=lambda: {
            "energy_label": fidelity.energy,
            "sources": digests(sources),
            "settings": settings.facts(),
            "readers": [source.facts() for source in sources],
        },
    )
    leave_out_duplicates(Path(snakemake.output[0]))
