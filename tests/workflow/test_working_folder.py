"""The working folder: modules in it are imported by no job, and names of folders and files are no wildcards."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml
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


def test_braces_dollars_and_umlauts_in_names_whatever_the_locale(fresh: Workplace) -> None:
    place = fresh.folder / "place {br} $x"
    place.mkdir()
    (place / "my.csv").write_text(POINTS, encoding="utf-8")
    study = {"study": "mine", "points": "my.csv", "labels": {"scratch": "$\\bad{ _ä"}, "x_label": "_n {x}"}
    (fresh.folder / "config/words.yaml").write_text(yaml.safe_dump(study, allow_unicode=True), encoding="utf-8")
    plain = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "utf-8"}
    done = fresh.snakemake(
        *("scaling", "--cores", "1", "--directory", place.name),
        study="config/words.yaml",
        environment=plain,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    assert "$\\bad{ _ä" in (place / "results/mine/figures/learning-curves.svg").read_text(encoding="utf-8")
    assert "$\\bad{ _ä" in (place / "results/mine/report.html").read_text(encoding="utf-8")


def test_braces_in_the_path_of_the_checkout_are_refused_with_what_helps(fresh: Workplace) -> None:
    moved = Workplace(fresh.folder.rename(fresh.folder.with_name("a{br}b")))
    done = moved.snakemake("all", "-n")
    assert "takes the braces in the path of this checkout for wildcards" in done.stdout
    assert "Traceback" not in done.stdout
