"""Section of the study file with texts for the report."""

from __future__ import annotations

from pydantic import Field

from uprung.config.base import Section


class Report(Section):
    """Texts of the report page."""

    title: str = Field(default="", description="Title of the page; default: the study's name.")
    abstract: str = Field(default="", description="Purpose of the study, in a few sentences.")
    limits: list[str] = Field(
        default=[], description="Limits of the study, in addition to those that uprung finds itself."
    )
