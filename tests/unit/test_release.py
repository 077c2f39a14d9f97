"""One version in all places, and a changelog that has it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from uprung.version import __version__

ROOT = Path(__file__).parents[2]


def test_the_version_is_the_same_everywhere() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"] == __version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[:2] == ["Unreleased", f"{__version__} ({citation['date-released']})"]


def test_what_is_asked_of_a_project_is_there() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for file in ("CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md"):
        assert (ROOT / file).stat().st_size > 500
        assert f"]({file})" in readme
    assert "CITATION.cff" in readme
    for template in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.md"):
        _, head, _ = template.read_text(encoding="utf-8").split("---", 2)
        assert {"name", "about"} <= set(yaml.safe_load(head)), template


def test_the_paper_cites_what_its_list_has() -> None:
    text = (ROOT / "paper/paper.md").read_text(encoding="utf-8")
    listed = re.findall(r"^@\w+\{(\w+),", (ROOT / "paper/paper.bib").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"@(\w+\d*)", text)) == set(listed)
