"""Figures inlined into the page, with ids that do not collide."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from markupsafe import Markup, escape

#: An SVG above this many bytes goes in as its PNG: hundreds of marks are smaller as pixels.
LARGEST = 600_000
POINT = 4 / 3  # CSS pixels


def inline_svg(svg: str, *, prefix: str, alt: str, scale: float = 1.15) -> Markup:
    """Return an SVG as markup for the page, its ids prefixed in definitions and references alike.

    Args:
        svg: the file's text.
        prefix: a name that no other figure of the page has.
        alt: what a reader who cannot see the figure is told.
        scale: largest display size over the figure's own; it shrinks to the page's width.
    """
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)  # would hold for the whole page
    svg = re.sub(r'(?<=\sid=")(?=[^"])', f"{prefix}-", svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}-", svg)
    svg = re.sub(r'(\s(?:xlink:)?href=")#', rf"\1#{prefix}-", svg)
    head, body = svg.split(">", 1)
    width = re.search(r'\swidth="([\d.]+)pt"', head)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    own = float(width[1]) * POINT if width else 0.0
    limit = f' style="max-width: {own * scale:.0f}px; --own: {own:.0f}px"' if width else ""
    return Markup(f'{head} role="img" aria-label="{escape(alt)}"{limit}>{body}')


def inline_png(png: bytes, *, alt: str) -> Markup:
    """Return a PNG as markup for the page."""
    return Markup('<img alt="{}" src="data:image/png;base64,{}">').format(alt, base64.b64encode(png).decode())


def inline_figure(file: Path, *, alt: str) -> Markup:
    """Return a figure as markup: its SVG, or the PNG of the same name where the SVG is larger than `LARGEST`.

    Raises ValueError where the SVG is too large and there is no PNG.
    """
    if file.stat().st_size <= LARGEST:
        return inline_svg(file.read_text(encoding="utf-8"), prefix=re.sub(r"\W+", "-", file.stem), alt=alt)
    png = file.with_suffix(".png")
    if not png.exists():
        raise ValueError(f"{file} is larger than {LARGEST:,} bytes and {png.name} is missing beside it")
    return inline_png(png.read_bytes(), alt=alt)
