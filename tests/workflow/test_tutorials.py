"""The tutorials, followed: Python, study files and commands in one folder, with fewer steps, and what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from pages.blocks import ROOT, Command, blocks, commands

pytestmark = pytest.mark.slow
MACE = ROOT / ".venv-mace/bin/python"
TIMEOUT = 1800
#: Run what came before without its prints, and the last block with them.
SESSION = """import contextlib, io
with contextlib.redirect_stdout(io.StringIO()):
    exec({before!r})
exec({last!r})"""
#: What makes a page's study short.
SHORT = {r"^steps: \d+": "steps: 5", r"^seeds: \d+": "seeds: 1", r"^sizes: .*": "sizes: [all]"}


def run(arguments: Sequence[str | Path], folder: Path) -> str:
    """Run a command in a folder; return what it prints."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def words_of(text: str) -> str:
    """Return a text without its numbers, which fewer steps and another machine change."""
    return re.sub(r"steps\d+|-?\d[\d,.e-]*|(hour|minute)s?", "#", text).strip()


def called(command: Command) -> list[str | Path]:
    """Return a command of a page as one of this interpreter, or of that of MACE."""
    words = list(command.words)
    interpreter: str | Path = MACE if words[0].startswith(".venv-mace") else sys.executable
    if command.program == "uprung":
        return [interpreter, "-m", "uprung", *words[1:]]
    return [interpreter, *words[1:]]


def follow(page: str, folder: Path, python: str | Path, short: Mapping[str, str]) -> None:
    """Do what a page says; commands print the words that it shows."""
    before = ""  # Python since the last command
    for block in (block for block in blocks() if block.page == page):
        named = re.match(r"# ([\w-]+\.yaml)\n", block.text)
        if block.kind == "python":
            printed = run([python, "-c", SESSION.format(before=before, last=block.text)], folder)
            before += block.text
        elif block.kind == "yaml" and named:
            (folder / named[1]).write_text(block.text, encoding="utf-8")
        elif block.kind == "console":
            for study in folder.glob("*.yaml"):
                text = study.read_text(encoding="utf-8")
                for old, new in short.items():
                    text = re.sub(old, new, text, flags=re.MULTILINE)
                study.write_text(text, encoding="utf-8")
            printed = "\n".join(run(called(command), folder) for command in commands(block))
            before = ""
            shown = "\n".join(line for line in block.text.splitlines() if not line.startswith("$ "))
            assert words_of(shown) == words_of(printed)
        elif block.kind == "":
            assert words_of(printed).endswith(words_of(block.text))  # packages print before


def test_one_compound(tmp_path: Path) -> None:
    follow("docs/tutorials/one-compound.md", tmp_path, sys.executable, SHORT)


@pytest.mark.skipif(not MACE.exists(), reason="MACE has an environment of its own: make mace")
def test_softening_of_a_mace(tmp_path: Path) -> None:
    follow("docs/tutorials/softening.md", tmp_path, MACE, {})
