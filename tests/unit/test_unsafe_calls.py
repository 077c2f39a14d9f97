"""Nothing in the library or in scripts unpickles, evaluates, or builds whatever class a file names.

Ruff looks for it (rules S, and TID251 with the list of pyproject.toml); here is what ruff does not see.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*.py")])
#: What a line that ruff passes over has to say: how the file is read, or why the module is imported.
SAFE = re.compile(
    r"weights_only=True|types of data|nothing is parsed here|the C library that this|format=|UnpicklingError|"
    r"no document type|import_module\(CARDS\[name\]\.module\)"
)
SNIPPETS = """
import pickle
from cloudpickle import loads
def f(): import pickle as p; return p.load(x)
import torch; torch.load(f)
import torch; torch.load(f, weights_only=False)
from torch import load; load(f, map_location='cpu')
from torch.serialization import add_safe_globals
import pandas as pd; pd.read_pickle(f)
import joblib; joblib.load(f)
import yaml; yaml.load(f, Loader=yaml.SafeLoader)
import yaml; x = yaml.UnsafeLoader
from monty.json import MontyDecoder
import ase.io; ase.io.read(f)
from ase.io import iread; iread(f, index=':')
from ase.db import connect
from chgnet.model import CHGNet; CHGNet.load(x)
import subprocess
x = eval(text)
exec(text)
""".strip().splitlines()


def found(code: str) -> set[str]:
    """Return the rules that ruff finds broken in a file of the library."""
    command = [sys.executable, "-m", "ruff", "check", "--output-format=json", "--stdin-filename=src/uprung/x.py", "-"]
    done = subprocess.run(command, input=code, capture_output=True, text=True, check=False, cwd=ROOT)
    return {entry["code"] for entry in json.loads(done.stdout)}


@pytest.mark.parametrize("code", SNIPPETS)
def test_ruff_finds_what_runs_files(code: str) -> None:
    assert {rule for rule in found(code) if rule and rule.startswith(("S", "TID"))}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_ruff_passes_over_is_safe(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b((allow_pickle|pickle_module|shell)=|__import__\()", text)
    assert [line for line in text.splitlines() if "noqa: TID251" in line and not SAFE.search(line)] == []
