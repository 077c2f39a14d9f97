"""The blocks of docs/python.md and the notebooks run, and say what they show."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
sys.path.insert(0, str(DOCS / "notebooks"))

from execute import outputs_of  # noqa: E402 - beside the notebooks


def alike(shown: str, found: str) -> bool:
    """Return whether two texts are the same words with numbers that agree to a part in a hundred."""
    number = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")
    if number.sub("#", shown.strip()) != number.sub("#", found.strip()):
        return False
    pairs = zip(number.findall(shown), number.findall(found), strict=True)
    return all(abs(float(a) - float(b)) <= 0.02 + 0.02 * abs(float(a)) for a, b in pairs)


def test_the_page_runs_and_prints_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (DOCS / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(python|)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    namespace: dict[str, Any] = {"__name__": "page"}
    printed = ""
    for kind, block in blocks:
        if kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(block, "docs/python.md", "exec"), namespace)
            printed = out.getvalue()
        else:
            assert alike(block, printed), f"{block}\n---\n{printed}"
    assert len(blocks) > 10


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_prints_what_it_shows(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    shown = ["".join(out.get("text", out.get("data", {}).get("text/plain", ""))) for cell in cells
             if cell["cell_type"] == "code" for out in cell["outputs"]]  # fmt: skip
    found = [text for outputs in outputs_of(cells) for text in outputs]
    assert shown, "the notebook has no output: run docs/notebooks/execute.py"
    assert len(shown) == len(found)
    for one, other in zip(shown, found, strict=True):
        assert alike(one, other), f"{one}\n---\n{other}"
