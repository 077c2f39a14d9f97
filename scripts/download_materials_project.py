"""Download the Materials Project's tables, or what is still missing of them."""

from pathlib import Path

from uprung.job.run import job

with job(snakemake):
    from uprung.sources.materials_project.download import download  # here, so that the log tells of a missing extra

    download(Path(snakemake.params.state), Path(snakemake.output[0]), db_version=snakemake.params.release)
