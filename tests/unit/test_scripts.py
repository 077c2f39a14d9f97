"""Scripts are thin: each belongs to a rule and fits on a page; what it does is in the library."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
USED = {name for file in (ROOT / "rules").glob("*.smk") for name in re.findall(r"scripts/(\w+\.py)", file.read_text())}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_fits_on_a_page(script: Path) -> None:
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 45


def test_every_script_belongs_to_a_rule() -> None:
    assert {script.name for script in SCRIPTS} == USED
