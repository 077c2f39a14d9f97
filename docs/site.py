"""Hooks of mkdocs: which files of the repository are pages, and what no page of the site may have.

A page keeps its place in the repository, so that its links are right there and on the site.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PATTERNS = (
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "LICENSE"),
    *("config/README.md", "benchmarks/README.md", "data/**/README.md"),
    *(
        "docs/*.md",
        "docs/tutorials/*.md",
        "docs/how-to/*.md",
        "docs/images/*",
        "docs/site.css",
        "docs/notebooks/*.ipynb",
    ),
)
#: What loads its address when the page is opened; a link that a reader follows does not.
LOADS = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href"), ("use", "href")}


def on_files(files: Files, *, config: Any) -> Files:
    """Name the pages, and what they show."""
    for file in list(files):
        if file.src_dir == config.docs_dir:
            files.remove(file)
    for path in sorted(found for pattern in PATTERNS for found in ROOT.glob(pattern)):
        name = path.relative_to(ROOT).as_posix()
        if path.suffix == ".ipynb":
            file = File.generated(config, f"{name[:-6]}.md", content=page_of(path))
        else:
            file = File.generated(config, name, abs_src_path=str(path))
        file.dest_uri = address(file.dest_uri)
        files.append(file)
    return files


def address(name: str) -> str:
    """Return where a page of the repository lies on the site."""
    name = name.removeprefix("docs/")
    name = {"config/index.html": "study-file.html"}.get(name, name)
    return name if name == "index.html" else re.sub(r"/index\.html$", ".html", name)


def page_of(notebook: Path) -> str:
    """Return a notebook as a page: its text, its code and what the code printed."""
    parts = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        printed = "".join("".join(output.get("text", "")) for output in cell.get("outputs", []))
        if printed:
            parts.append(f"```text\n{printed.rstrip()}\n```")
    return "\n\n".join(parts)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Point links to notebooks at the pages that they are on the site."""
    return re.sub(r"(\]\([\w./-]+)\.ipynb\)", r"\1.md)", markdown)


class Page(HTMLParser):
    """Addresses, anchors and text of a page."""

    def __init__(self, text: str) -> None:
        """Read a page."""
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the addresses of a tag."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        for name, value in given.items():
            if (tag, name) in LOADS and given.get("rel") not in ("canonical", "prev", "next"):
                self.loaded.append(value)
            if name in ("href", "src"):
                self.links.append(value)


def on_post_build(*, config: Any) -> None:
    """Refuse a site with dead links, with something to load from elsewhere, or with a list that is none."""
    wrong = list(problems(Path(config.site_dir)))
    if wrong:
        raise PluginError("\n".join(wrong))


def problems(site: Path) -> Iterator[str]:
    """Yield what is wrong on the pages of a built site, a line each."""
    texts = {file: file.read_text(encoding="utf-8") for file in sorted(site.rglob("*.html"))}
    pages = {file: Page(text) for file, text in texts.items()}
    for file, page in pages.items():
        where = file.relative_to(site)
        yield from (f"{where} loads {one}" for one in page.loaded if urlsplit(one).netloc)
        yield from (f"{where}: no such place: {one}" for one in page.links if not _leads(one, file, pages))
        yield from (
            f"{where}: no list: {line}" for line in re.findall(r"^(?:<p>)?- .*", _outside(texts[file]), re.MULTILINE)
        )
    for file in site.rglob("*.css"):
        for one in re.findall(r"(?:@import|url\()\s*[\"']?((?:https?:)?//[^\"')]+)", file.read_text(encoding="utf-8")):
            yield f"{file.relative_to(site)} loads {one}"


def _leads(link: str, file: Path, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc or file.name == "404.html":
        return True
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if target.is_dir():
        target /= "index.html"
    anchor = unquote(parts.fragment)
    return target.exists() and (not anchor or target not in pages or anchor in pages[target].anchors or anchor == "__")


def _outside(text: str) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"<pre.*?</pre>", "", text, flags=re.DOTALL)
