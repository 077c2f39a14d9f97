"""Every fenced block of the pages that a reader copies from, and the commands in those of a shell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
FENCE = re.compile(r"^(?P<indent> *)```(?P<kind>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
BETWEEN = re.compile(r"[;&|]+")
VARIABLE = re.compile(r"[A-Z_]+=.*")
INLINE = re.compile(r"(?<![`\w])`((?:make|snakemake|uprung|python benchmarks/[^\s`]+) [^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page below the repository, its language, its text."""

    page: str
    kind: str
    text: str

    @property
    def name(self) -> str:
        """Page and first line: what `pages.exceptions` and messages call a block."""
        return f"{self.page}: {self.text.splitlines()[0].strip()}"


@dataclass(frozen=True)
class Command:
    """A command of a shell block, without variables and comments."""

    page: str
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        """The last part of the path of what is called."""
        return Path(self.words[0]).name

    def __str__(self) -> str:
        return shlex.join(self.words)


def pages() -> list[Path]:
    """Return README, docs, and what else of the repository is written for a reader."""
    single = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "config/README.md", "benchmarks/README.md")]
    found = [*single, *(ROOT / "docs").rglob("*.md"), *(ROOT / "data").rglob("README.md")]
    return sorted(page for page in found if page.is_file())


def blocks_of(text: str, page: str) -> list[Block]:
    """Return the fenced blocks of a page's text, without their indentation."""
    found = []
    for match in FENCE.finditer(text):
        indent = len(match["indent"])
        lines = [line[indent:] for line in match["text"].splitlines(keepends=True)]
        found.append(Block(page, match["kind"], "".join(lines)))
    return found


def blocks(*kinds: str) -> list[Block]:
    """Return the blocks of all pages, or those of some languages."""
    found = [
        block for page in pages() for block in blocks_of(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT)))
    ]
    return [block for block in found if not kinds or block.kind in kinds]


def commands(block: Block) -> Iterator[Command]:
    """Yield the commands of a shell block; in a console those after `$ `."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.kind == "console":
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    for line in lines:
        yield from commands_of(line, block.page)


def commands_of(line: str, page: str) -> Iterator[Command]:
    """Yield the commands of a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not BETWEEN.fullmatch(word):
            words.append(word)
            continue
        while words and VARIABLE.fullmatch(words[0]):
            del words[0]
        if words:
            yield Command(page, tuple(words))
        words = []


def inline(text: str, page: str) -> Iterator[Command]:
    """Yield the commands that stand in sentences."""
    for match in INLINE.finditer(FENCE.sub("", text)):
        yield from commands_of(match[1], page)


def all_commands() -> list[Command]:
    """Return the commands of all pages, each once."""
    shell = (command for block in blocks("bash", "console") for command in commands(block))
    said = (
        command for page in pages() for command in inline(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT)))
    )
    return list(dict.fromkeys([*shell, *said]))
