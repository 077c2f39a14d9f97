"""Download the Materials Project's tables, or what is still missing of them."""

from pathlib import Path

from uprung.job.logs import logged
from uprung.sources.materials_project.download import pull

with logged(snakemake.log[0]):
    pull(Path(snakemake.params.state), Path(snakemake.output[0]), db_version=snakemake.params.release)
