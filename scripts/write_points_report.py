"""Write the report page of a study of given points."""

from pathlib import Path

import pandas as pd

from uprung.config.points import PointsStudy
from uprung.job.files import sha256
from uprung.job.logs import logged
from uprung.report.points_page import render_points
from uprung.report.results import read_law_results

with logged(snakemake.log[0]):
    files = dict(snakemake.input.items())
    template, css = (Path(files.pop(name)).read_text() for name in ("template", "css"))
    page = render_points(
        PointsStudy.model_validate(snakemake.params.study).model_dump() | {"command": snakemake.params.command},
        read_law_results(files),
        pd.read_csv(files["left_out"], keep_default_na=False),
        digest=sha256(Path(files["points"])),
        template=template,
        css=css,
    )
    Path(snakemake.output[0]).write_text(page)
