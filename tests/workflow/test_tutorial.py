"""docs/tutorial.md: two files become a report in three commands, and Python says what the workflow says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import uprung

pytestmark = pytest.mark.slow
PAGE = (Path(__file__).parents[2] / "docs/tutorial.md").read_text(encoding="utf-8")
SCREENS = dict(re.findall(r"^```console\n\$ uprung (.*?)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
TIMEOUT = 1800


def command(folder: Path, line: str) -> str:
    """Run a command of the page; return what it prints."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "uprung", *line.split()],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def without_times(text: str) -> str:
    return re.sub(r"; [\d.]+ s a step here.*", "", text).strip()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Follow the page, with ten steps, one seed and two sizes."""
    folder, found = tmp_path_factory.mktemp("tutorial"), {}
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE.partition("## 1.")[0], re.MULTILINE | re.DOTALL)
    here = Path.cwd()
    os.chdir(folder)
    try:
        exec(compile(block, "docs/tutorial.md", "exec"), {"__name__": "page"})
    finally:
        os.chdir(here)
    for line in SCREENS:
        if line.startswith("run"):
            study = folder / "mine.yaml"
            text = study.read_text(encoding="utf-8").replace("sizes: [17, 53, all]", "sizes: [53, all]")
            text = text.replace("seeds: 2", "seeds: 1").replace("steps: 1000", "steps: 10")
            study.write_text(text, encoding="utf-8")
        found[line] = command(folder, line)
    return folder, found


def test_the_commands_print_what_the_page_shows(told: tuple[Path, dict[str, str]]) -> None:
    _, found = told
    assert len(SCREENS) == 3
    for line, shown in SCREENS.items():
        assert without_times(found[line]) == without_times(shown), line


def test_the_report_is_there(told: tuple[Path, dict[str, str]]) -> None:
    folder, _ = told
    assert (folder / "results/mine/report.html").stat().st_size > 10_000
    assert len(pd.read_csv(folder / "results/mine/models/index.csv")) == 4


def test_python_says_what_the_workflow_says(told: tuple[Path, dict[str, str]]) -> None:
    folder, _ = told
    results = folder / "results/mine"
    low, high = (uprung.read(folder / file) for file in ("pbe.xyz", "r2scan.xyz"))
    found = uprung.shift(low, high, bootstrap=500)
    for name, table in {
        "shift": found.elements,
        "correlation": found.correlation,
        "by_element": found.by_element,
        "importance": found.importance,
    }.items():
        stored = pd.read_csv(results / f"analysis/low-high/{name}.csv", keep_default_na=False, na_values=["", "nan"])
        for column in table.select_dtypes("number"):
            np.testing.assert_allclose(table[column], stored[column], rtol=1e-6, atol=1e-9, err_msg=f"{name} {column}")


def test_references_moved_from_python_are_those_of_a_run(told: tuple[Path, dict[str, str]]) -> None:
    folder, _ = told
    results = folder / "results/mine"
    chosen = pd.read_parquet(results / "split/order/seed0.parquet")
    high: Any = uprung.read(folder / "r2scan.xyz")
    rows = pd.Index(high.frames.strings("frame_id")).get_indexer(chosen["frame_id"])
    found = uprung.rereference("chgnet-0.3.0", high.frames.take(rows)).references.to_frame()
    stored = pd.read_csv(results / "references/residual/nall/seed0.csv")
    fitted = stored[stored["origin"] == "fit"]
    assert len(fitted) > 10
    values = found.set_index("Z").loc[fitted["Z"], ["value", "stderr"]]
    np.testing.assert_allclose(values, fitted[["value", "stderr"]], rtol=1e-3, atol=2e-4)
