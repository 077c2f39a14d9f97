"""The study file of a study that trains nothing: a table of learning-curve points and what is asked of it."""

from __future__ import annotations

from pydantic import Field

from uprung.config.base import Name, Section
from uprung.config.laws import Laws, Positive
from uprung.config.report import Report


class PointsStudy(Section):
    """A whole study file without fidelities and training."""

    study: Name = Field(description="Name of the study: results go to `results/<study>/`.")
    points: str = Field(
        description="CSV file with the columns n, arm, target, mae and, where known, seed, unit, budget; relative to "
        "the folder in which Snakemake runs."
    )
    scratch: str = Field(
        default="scratch", description="Arm without pretraining, with which the others are compared; may be absent."
    )
    smallest: Positive | None = Field(default=None, description="Laws use sizes from here on.")
    labels: dict[str, str] = Field(default={}, description="Names of arms in figures and tables; default: the arms.")
    x_label: str = Field(default="labelled structures in training", description="What n counts, on the axes.")
    laws: Laws = Field(default_factory=Laws, description="Laws and what is asked of them.")
    report: Report = Field(default_factory=Report, description="Words on the report page.")
