"""One HTML page with its figures inside, from sections of any study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from uprung.config.report import Report
from uprung.report.blocks import Block, PageSection
from uprung.report.interactive import SCRIPT
from uprung.version import __version__

TEMPLATE, STYLE = (Path(__file__).with_name(name) for name in ("page.html.j2", "style.css"))


def section(name: str, title: str, blocks: Iterator[Block]) -> PageSection:
    """Return a section of the page."""
    return PageSection(name, title, list(blocks))


def render(sections: Sequence[PageSection], *, name: str, report: Report, runs: str, short: Sequence[str]) -> str:
    """Return a page as HTML.

    Args:
        sections: in their order.
        name: of the study.
        report: title and abstract.
        runs: how many runs there are, in words.
        short: sentences at the top.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        sections=sections,
        name=name,
        title=report.title or f"Study {name}",
        abstract=report.abstract,
        runs=runs,
        short=short,
        version=__version__,
        css=Markup(STYLE.read_text(encoding="utf-8")),
        script=SCRIPT,
    )
