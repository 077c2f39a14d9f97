"""Scripts are thin: each belongs to a rule and fits on a page; what it does is in the library."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from uprung.job.fingerprint import closure

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
USED = {name for file in (ROOT / "rules").glob("*.smk") for name in re.findall(r"scripts/(\w+\.py)", file.read_text())}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_fits_on_a_page(script: Path) -> None:
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 45


def test_every_script_belongs_to_a_rule() -> None:
    assert {script.name for script in SCRIPTS} == USED


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_job_depends_on_the_functions_for_notebooks_or_on_the_command(script: Path) -> None:
    assert {name for name in closure(script) if re.match(r"uprung(\.api|\.cli|$)", name)} == set()
