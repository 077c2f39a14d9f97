"""Section of the study file with the words of the report."""

from __future__ import annotations

from pydantic import Field

from uprung.config.base import Section


class Report(Section):
    """Words on the report page."""

    title: str = Field(default="", description="Title of the page; default: the study's name.")
    abstract: str = Field(default="", description="What this study is for, in a few sentences.")
    limits: list[str] = Field(default=[], description="What the study does not show, beside what uprung finds itself.")
