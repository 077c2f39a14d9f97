"""What a section of the page is made of: headings, text, tables, figures. The template prints each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import TypeVar

from markupsafe import Markup

from uprung.figures.style import NOTHING_DRAWN
from uprung.report.captions import FIGURES
from uprung.report.format import NONE
from uprung.report.svg import inline_figure

K = TypeVar("K")


@dataclass(frozen=True)
class Cell:
    """Text of a cell with a second, smaller line and a style: '', 'best', 'hollow' or 'best hollow'."""

    text: str
    note: str = ""
    style: str = ""


Row = Sequence[str | Cell]


@dataclass(frozen=True)
class Table:
    """A table as printed. The first `text` columns are aligned left, the others right."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Row]
    text: int = 1
    last_text: bool = False  # whether the last column is text, too


@dataclass(frozen=True)
class Picture:
    """A figure as it stands on the page."""

    name: str
    markup: Markup
    caption: str


@dataclass(frozen=True)
class Heading:
    """A heading within a section, with the name that a link may point to."""

    text: str
    name: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph; plain text unless it is `Markup`."""

    text: str


@dataclass(frozen=True)
class Sentences:
    """A list of sentences."""

    sentences: Sequence[str]


@dataclass(frozen=True)
class Definitions:
    """Names and what is said of each."""

    entries: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Details:
    """Tables, with the text and figures that belong to them, that a reader opens."""

    summary: str
    tables: Sequence[Block]


@dataclass(frozen=True)
class Links:
    """Files relative to the page, with their content."""

    entries: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Command:
    """What to type in a terminal."""

    text: str


@dataclass(frozen=True)
class Drawing:
    """Markup of a figure that a reader can explore."""

    markup: Markup


Block = Table | Picture | Heading | Text | Sentences | Definitions | Details | Links | Command | Drawing


def drawn(blocks: Iterable[Block]) -> list[Block]:
    """Return what there is to see: no figure that says why it is empty, no table of dashes, no heading over nothing."""
    seen: list[Block] = []
    for block in map(_filled, blocks):
        if block is None:
            continue
        if isinstance(block, Heading) and seen and isinstance(seen[-1], Heading):
            seen.pop()
        seen.append(block)
    return seen[:-1] if seen and isinstance(seen[-1], Heading) else seen


def _filled(block: Block) -> Block | None:
    """Return a block without its empty parts; None where nothing is left."""
    match block:
        case Table():
            return without_dashes(block)
        case Details(tables=tables):
            left = drawn(tables)
            return replace(block, tables=left) if left else None
        case Picture(markup=markup):
            return None if NOTHING_DRAWN in markup else block
        case Sentences(sentences=sentences):
            return block if sentences else None
        case _:
            return block


def without_dashes(table: Table) -> Table | None:
    """Return a table without the columns that hold dashes alone; None where no cell but names is left."""
    keep = [k == 0 or any(_shown(row[k]) for row in table.rows) for k in range(len(table.columns))]
    if not any(keep[1:]):
        return None
    return Table(
        table.caption,
        list(compress(table.columns, keep)),
        [list(compress(row, keep)) for row in table.rows],
        sum(keep[: table.text]),
        table.last_text and keep[-1],
    )


def _shown(cell: str | Cell) -> bool:
    return (cell.text not in ("", NONE) or bool(cell.note)) if isinstance(cell, Cell) else cell not in ("", NONE)


@dataclass(frozen=True)
class PageSection:
    """A section of the page."""

    name: str
    title: str
    blocks: Sequence[Block]


def there(tables: Iterable[Table | None]) -> list[Table]:
    """Return the tables that are not None."""
    return [table for table in tables if table is not None]


def by_arm(
    labels: Mapping[str, str], arms: Iterable[str], columns: Iterable[K], cell: Callable[[str, K], str | Cell]
) -> list[Row]:
    """Return a row per arm with its name and a cell per column, in the order of the labels.

    Args:
        labels: arm -> name as printed.
        arms: those that have a row.
        columns: what the cells stand for.
        cell: of an arm and a column.
    """
    known, heads = set(arms), list(columns)
    return [[label, *(cell(arm, head) for head in heads)] for arm, label in labels.items() if arm in known]


def picture(figures: Mapping[str, Path], pattern: str, caption: str = "", **fields: str) -> Picture:
    """Return a figure of a study with its caption.

    Args:
        figures: name -> SVG file.
        pattern: name in `FIGURES`.
        caption: in place of the one of the catalogue.
        fields: of name and caption.
    """
    name = pattern.format(**fields)
    text = caption or FIGURES[pattern].caption.format(**fields)
    return Picture(name, inline_figure(figures[name], alt=text.split(". ")[0] + "."), text)
