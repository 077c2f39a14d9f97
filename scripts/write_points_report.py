"""Write the report page of a study of given points."""

from pathlib import Path

from uprung.config.points import PointsStudy
from uprung.job.files import sha256
from uprung.job.run import job
from uprung.report.points_page import points_page
from uprung.report.results import read_points_results

with job(snakemake):
    page, study = Path(snakemake.output[0]), PointsStudy.model_validate(snakemake.params.study)
    digest, command = sha256(Path(snakemake.input.points)), snakemake.params.command
    page.write_text(points_page(study, read_points_results(page.parent), digest=digest, command=command))
