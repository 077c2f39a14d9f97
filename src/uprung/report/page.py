"""One HTML page with its figures inside, from sections of any study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from uprung.config.report import Report
from uprung.report.blocks import Block, Drawing, PageSection, drawn
from uprung.version import __version__

TEMPLATE, STYLE, SCRIPT = (Path(__file__).with_name(name) for name in ("page.html.j2", "style.css", "page.js"))


def section(name: str, title: str, blocks: Iterator[Block]) -> PageSection:
    """Return a section of the page, without what has no content."""
    return PageSection(name, title, drawn(blocks))


def render(
    sections: Sequence[PageSection],
    *,
    name: str,
    report: Report,
    runs: str,
    short: Sequence[str],
    lead: Drawing | None = None,
) -> str:
    """Return a page as HTML.

    Args:
        sections: in their order; one without blocks is left out.
        name: of the study.
        report: title and abstract.
        runs: how many runs there are, in words.
        short: sentences at the top.
        lead: the picture beside them.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        sections=[each for each in sections if each.blocks],
        name=name,
        title=report.title or f"Study {name}",
        abstract=report.abstract,
        runs=runs,
        short=short,
        lead=lead,
        version=__version__,
        css=Markup(STYLE.read_text(encoding="utf-8")),
        script=Markup(SCRIPT.read_text(encoding="utf-8")),
    )
