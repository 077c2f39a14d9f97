"""Files beside the data are data: a module of that name in the working folder is imported by no job."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from workplace import Workplace

NAMES = ("ase", "random", "yaml", "json", "numpy", "pandas", "sitecustomize", "usercustomize", "logging")
LATE = ("mlflow", "uprung")  # looked for or imported by Snakemake as it reads the workflow, not before
POINTS = """n,arm,seed,target,mae
100,scratch,0,energy,1.0
300,scratch,0,energy,0.6
1000,scratch,0,energy,0.4
3000,scratch,0,energy,0.25
"""


def traps(folder: Path, *names: str) -> Path:
    """Write modules that leave a trace when they are imported, and return the file of the traces."""
    trace = folder / "imported.txt"
    for name in names:
        code = f"open({str(trace)!r}, 'a').write('{name} ')\nraise ImportError('{name}')\n"
        (folder / f"{name}.py").write_text(code)
    return trace


@pytest.mark.parametrize("path", [None, "{lib}::."])
def test_modules_in_the_working_folder_are_imported_by_no_job(fresh: Workplace, path: str | None) -> None:
    place, lib = fresh.folder / "place", fresh.folder / "lib"
    place.mkdir()
    trace = traps(place, *NAMES, *LATE)
    (place / "my.csv").write_text(POINTS)
    options = ("--cores", "1", "--directory", str(place), "--config", "points=my.csv", "study=mine")
    target = "results/mine/scaling/curves.csv"
    fresh.edit("scripts/read_points.py", "import read_points", "import read_points\n\nimport sys; print(sys.path)")
    given = {} if path is None else {"PYTHONPATH": path.format(lib=lib)}
    done = fresh.snakemake(target, *options, study="config/points.yaml", environment=given)
    assert not trace.exists(), trace.read_text()
    assert done.returncode == 0, done.stdout
    assert (place / target).exists()
    assert (str(lib) in done.stdout) == (path is not None)  # what else PYTHONPATH names stays


def test_snakemake_itself_takes_none_either(fresh: Workplace) -> None:
    trace = traps(fresh.folder, *LATE)
    fresh.configure(lambda content: content.update(tracking={"mlflow": {"tracking_uri": "sqlite:///runs.db"}}))
    done = fresh.snakemake("all", "-n")
    assert not trace.exists(), trace.read_text()
    installed = importlib.util.find_spec("mlflow") is not None
    assert ("the package mlflow is not installed" in done.stdout) != installed, done.stdout
