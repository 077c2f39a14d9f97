"""Write the report page."""

from pathlib import Path

from uprung.config.study import Study
from uprung.job.run import job
from uprung.report.results import read_results
from uprung.report.study_page import study_page

with job(snakemake):
    page, study = Path(snakemake.output[0]), Study.model_validate(snakemake.params.study)
    page.write_text(study_page(study, read_results(page.parent, study), command=snakemake.params.command))
