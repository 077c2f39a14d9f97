"""Write the report page."""

from pathlib import Path

from uprung.job.logs import logged
from uprung.report.page import render
from uprung.report.results import read_results
from uprung.report.study import Study

with logged(snakemake.log[0]):
    files = dict(snakemake.input.items())
    template, css = (Path(files.pop(name)).read_text() for name in ("template", "css"))
    page = render(Study.from_plain(snakemake.params.study), read_results(files), template=template, css=css)
    Path(snakemake.output[0]).write_text(page)
