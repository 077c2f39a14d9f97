"""The wheel carries the workflow: what the Snakefile needs is in it, and the command works outside any checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CARRIED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"][
    "wheel"
]["force-include"]


def test_all_that_the_workflow_reads_is_carried() -> None:
    for place, inside in CARRIED.items():
        assert (ROOT / place).exists(), place
        assert inside == f"uprung/workflow/{place}"
    needed = ["Snakefile", "rules", "scripts", "config", "data", "profiles", "envs", "docs/snakemake-report.rst"]
    assert sorted(CARRIED) == sorted(needed)
    text = "".join(path.read_text(encoding="utf-8") for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")])
    assert set(re.findall(r"docs/[\w.-]+", text)) == {"docs/snakemake-report.rst"}


@pytest.mark.slow
def test_the_wheel_runs_outside_any_checkout(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "hatchling" in built.stderr and built.returncode:
        pytest.skip("the build backend cannot be had here")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=False)
    (packages,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    (shared,) = (path for path in map(Path, sys.path) if (path / "snakemake").is_dir())
    (packages / "shared.pth").write_text(f"{shared}\n")
    zipfile.ZipFile(wheel).extractall(packages)
    (tmp_path / "place").mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [tmp_path / "venv/bin/python", "-m", "uprung", "demo", "--cores", "1", "--", "-n"],
        cwd=tmp_path / "place",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train_run" in done.stdout + done.stderr
    assert f"{packages}/uprung/workflow/Snakefile" in done.stdout + done.stderr
