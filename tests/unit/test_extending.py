"""Every diff of docs/extending.md applies to the repository as it is, and what it adds works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/extending.md").read_text()
#: Title of a section -> its diff.
DIFFS = dict(re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```diff\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
TOY = ROOT / "tests/unit/models/toy"

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="diffs are applied by git")

WORKS = """
import json, sys
from pathlib import Path
import numpy as np
from uprung import laws
from uprung.atomref.fit import Estimator
from uprung.config.arms import Arm, ReferenceFit
from uprung.config.data import Source
from uprung.config.laws import Laws
from uprung.figures.shift import shift_by_atoms as drawn
from uprung.labels.energy_shift import shift_by_atoms
from uprung.models.registry import architecture
from uprung.report.captions import FIGURES
from uprung.sources import READERS

assert Arm(references="checkpoint", zero_readout=True).zero_readout

entry = {"numbers": [14], "cell": [[2, 0, 0], [0, 2, 0], [0, 0, 2]], "frac": [[0, 0, 0]], "energy": -5.0}
file = Path(sys.argv[1])
file.write_text(json.dumps(entry | {"forces": [[0, 0, 0]]}) + "\\n" + json.dumps(entry))
frame, rejected = READERS["lines"].read(file, "PBE", "a scale")
assert (frame.energy, rejected.reason) == (-5.0, "KeyError: 'forces'")
assert Source(format="lines", file="x", label_scale="a scale").format == "lines"

assert ReferenceFit(labels="target", estimator="common").estimator == "common"
fit = Estimator("common").build(None).fit(np.eye(94)[[0, 7]], [-1.0, -3.0])
assert fit.coef_[0] == fit.coef_[7] == -2.0 and np.isnan(fit.coef_[1])

n = 100.0 * 2 ** np.arange(8)
points = laws.log_points(n, n**-0.4 * np.exp(0.8 * (n / 100) ** -1.1))
found = {name: value for name, (value, _, _) in laws.fit_law(points, Laws(law="corrected").law).parameters().items()}
assert np.allclose([found[k] for k in ("exponent", "prefactor", "correction", "decay")], [0.4, 1, 0.8, 1.1], rtol=0.01)

table = shift_by_atoms([1, 2, 2], [0.0, 0.0, 0.0], [1.0, 2.0, 4.0])
assert table["shift"].tolist() == [1.0, 3.0] and "{pair}-atoms" in FIGURES
assert len(drawn(table).axes) == 1

assert architecture("toy").new(0).references.shape == (94,)
"""


def copy(folder: Path, *diffs: str) -> Path:
    """Copy the library, and the files that some diffs change."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in re.findall(r"^--- a/(.*)$", "".join(diffs), re.MULTILINE):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def apply(diff: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Apply a diff as it stands; a repository above the folder would make git pass over the folder's files."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env["GIT_CEILING_DIRECTORIES"] = str(folder.parent)
    command = ["git", "apply", "--whitespace=error-all", "-"]
    return subprocess.run(command, input=diff, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_every_kind_of_extension_has_a_diff() -> None:
    kinds = ("option of an arm", "reader", "estimator", "law", "figure", "architecture")
    assert [any(kind in title for title in DIFFS) for kind in kinds] == [True] * len(DIFFS)


def test_all_diffs_apply_and_what_they_add_works(tmp_path: Path) -> None:
    folder = copy(tmp_path / "copy", *DIFFS.values())
    for title, diff in DIFFS.items():
        done = apply(diff, folder)
        assert done.returncode == 0, f"{title}: {done.stderr}"
        assert apply(diff, folder).returncode, f"{title}: it changes nothing"
    env = os.environ | {"PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", WORKS, str(tmp_path / "x.jsonl")]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("title", DIFFS)
def test_a_diff_of_other_files_does_not_apply(title: str, tmp_path: Path) -> None:
    """Without this the test above would say nothing."""
    folder = copy(tmp_path / "copy", DIFFS[title])
    stale = re.sub(r"^ (.*\w.*)$", r" \1 once", DIFFS[title], count=1, flags=re.MULTILINE)
    assert stale != DIFFS[title]
    assert "does not apply" in apply(stale, folder).stderr


def test_the_toy_of_the_page_is_the_one_that_passes_the_contract(tmp_path: Path) -> None:
    (title,) = (title for title in DIFFS if "architecture" in title)
    folder = copy(tmp_path / "copy", DIFFS[title])
    apply(DIFFS[title], folder)
    added = {file.name: file.read_text() for file in (folder / "src/uprung/models/toy").glob("*.py")}
    assert added == {file.name: file.read_text() for file in TOY.glob("*.py")}
