"""The study file of a study without training: scaling laws of a given table of learning-curve points."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from uprung.config.base import FileName, Name, Section, unique
from uprung.config.laws import Laws, Positive
from uprung.config.report import Report


def _distinct(labels: dict[str, str]) -> dict[str, str]:
    unique(list(labels.values()))
    return labels


class PointsStudy(Section):
    """Study file without fidelities and training."""

    study: Name = Field(description="Name of the study: results go to `results/<study>/`.")
    points: FileName = Field(
        description="CSV file with the columns n, arm, target, mae and, optionally, seed, unit, budget; relative to "
        "the folder in which Snakemake runs."
    )
    scratch: str = Field(
        default="scratch",
        description="Arm without pretraining, which the others are compared with; the table may lack it.",
    )
    smallest: Positive | None = Field(default=None, description="Smallest size that the laws are fitted to.")
    labels: Annotated[dict[str, str], AfterValidator(_distinct)] = Field(
        default={}, description="Names of arms in figures and tables; default: the arms."
    )
    x_label: str = Field(default="labelled structures in training", description="Label of the n axis.")
    laws: Laws = Field(default_factory=Laws, description="Scaling laws.")
    report: Report = Field(default_factory=Report, description="Texts of the report page.")
