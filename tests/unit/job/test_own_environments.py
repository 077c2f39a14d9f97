"""A job becomes the interpreter of its environment, as the same process, and only there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from uprung.job import environments
from uprung.job.environments import marked, missing
from uprung.job.extras import extra

#: A job whose environment holds a package that is nowhere; what it runs in is told by a variable.
SCRIPT = """
import os, sys
from pathlib import Path
from types import SimpleNamespace
from uprung.job import environments
from uprung.job.run import job

environments.ROOT = Path(os.environ["PROJECT"])
print("begun", os.getpid(), os.environ.get("PLACE", "here"), sys.argv[1:])
with job(SimpleNamespace(input=[], output=[], log=["job.log"], params={"code": sys.argv[1]})):
    print("in the job", os.getpid(), os.environ.get("PLACE", "here"))
    if sys.argv[2:]:
        raise ValueError("no")
"""


def run(folder: Path, *arguments: str, place: str = ".snakemake/scripts", installed: bool = True) -> list[list[str]]:
    """Run the script of a job; return the words of what it prints."""
    script = folder / place / "tmp1.train.py"
    script.parent.mkdir(parents=True)
    script.write_text(SCRIPT)
    if installed:
        python = folder / ".venv-nowhere/bin/python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nPLACE=there exec {sys.executable} "$@"\n')
        python.chmod(0o755)
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        env={**os.environ, "PROJECT": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=len(arguments) == 1,
    )
    return [line.split() for line in done.stdout.splitlines()]


def test_a_job_becomes_the_interpreter_of_its_environment(tmp_path: Path) -> None:
    begun, again, inside = run(tmp_path, "nowhere/0123abcd")
    assert (begun[2], again[2], inside[4]) == ("here", "there", "there")
    assert begun[1] == again[1] == inside[3]  # one process: its limits, signals and benchmark
    assert begun[3:] == again[3:]
    assert (tmp_path / "job.log").exists()


def test_what_fails_there_fails_once(tmp_path: Path) -> None:
    assert [words[0] for words in run(tmp_path, "nowhere/0123abcd", "fail")] == ["begun", "begun", "in"]
    assert "ValueError: no" in (tmp_path / "job.log").read_text()


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("0123abcd", {}),  # any other job
        ("json/0123abcd", {}),  # its package is here
        ("nowhere/0123abcd", {"place": "scripts"}),  # started by hand
        ("nowhere/0123abcd", {"installed": False}),  # says itself what is missing
    ],
)
def test_other_jobs_stay(code: str, options: dict[str, object], tmp_path: Path) -> None:
    begun, inside = run(tmp_path, code, **options)
    assert (begun[2], inside[4]) == ("here", "here")


def test_a_missing_environment_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    monkeypatch.setattr(environments, "find_spec", lambda name: None)
    assert missing(["", "mace"]).startswith("MACE runs in an environment of its own: make mace")
    assert "\n" not in missing(["mace"])
    (tmp_path / ".venv-mace/bin").mkdir(parents=True)
    (tmp_path / ".venv-mace/bin/python").touch()
    assert missing(["", "mace"]) == ""


def test_the_fingerprint_of_other_jobs_is_as_it_was() -> None:
    assert marked("0123abcd", "") == "0123abcd"
    assert marked("0123abcd", "mace") == "mace/0123abcd"


@pytest.mark.parametrize("error", [ImportError("no module"), ValueError("another package is too old")])
def test_a_package_that_cannot_be_imported_is_one_line(error: Exception) -> None:
    with (
        pytest.raises(ModuleNotFoundError, match=rf"SevenNet needs the extra `sevennet` \({error}\)"),
        extra("sevennet"),
    ):
        raise error
