"""Snakemake's conventions: the workflow as a module of another one, and where catalogs look for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from workplace import REPOSITORY, Workplace, job_counts

#: What docs/how-to.md shows, between what a host has of its own.
(SHOWN,) = re.findall(
    r"^```snakemake\n(.*?)^```", (REPOSITORY / "docs/how-to.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)
HOST = f"""
configfile: "mine.yaml"


{SHOWN}

rule summary:
    default_target: True
    input: "results/micro/scaling/laws.csv"
"""
#: Root may write anywhere; without these capabilities it may not.
NO_ROOT = ["setpriv", *(f"--{name}=-dac_override,-dac_read_search" for name in ("inh-caps", "bounding-set"))]


def test_another_workflow_uses_it_as_a_module(fresh: Workplace) -> None:
    place = fresh.folder / "place"
    place.mkdir()
    (place / "Snakefile").write_text(HOST.replace("path/to/uprung", str(fresh.folder)), encoding="utf-8")
    study = (fresh.folder / "tests/workflow/micro.yaml").read_text(encoding="utf-8")
    (place / "mine.yaml").write_text(study, encoding="utf-8")
    host = Workplace(place)
    status, output = host.dry("--cores", "1")
    assert status == 0, output
    assert "rule summary" in output
    assert job_counts(output)["train_run"] == 9
    whole = fresh.planned("scaling")
    assert whole["train_run"] == 9


def test_catalogs_find_it(fresh: Workplace) -> None:
    status, output = fresh.dry("--snakefile", "workflow/Snakefile", "--configfile", "tests/workflow/micro.yaml")
    assert status == 0, output
    assert job_counts(output)["train_run"] == 9
    entry = yaml.safe_load((fresh.folder / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))
    assert (fresh.folder / entry["usage"]["mandatory-flags"]["flags"].split()[-1]).is_file()


def edges(dot: str) -> set[tuple[str, str]]:
    """Return which rule reads files of which, directly or through others, from a graph in Graphviz's language."""
    names = dict(re.findall(r'^\s*(\d+)\[label = "(\w+)"', dot, re.MULTILINE))
    return closure({(names[a], names[b]) for a, b in re.findall(r"^\s*(\d+) -> (\d+)", dot, re.MULTILINE)})


def drawn(svg: str) -> set[tuple[str, str]]:
    """Return the same from a picture of that graph."""
    names = dict(re.findall(r"<title>(\d+)</title>\n<polygon[^>]*>\n<text[^>]*>(\w+)</text>", svg))
    return closure({(names[a], names[b]) for a, b in re.findall(r"<title>(\d+)&#45;&gt;(\d+)</title>", svg)})


def closure(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    while more := {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs:
        pairs |= more
    return pairs


def test_the_picture_of_the_rules_is_up_to_date(fresh: Workplace) -> None:
    done = fresh.snakemake("--rulegraph", study="config/demo.yaml")
    assert done.returncode == 0, done.stdout
    found = edges(done.stdout)
    assert ("train_run", "write_report") in found
    assert drawn((REPOSITORY / "docs/images/rules.svg").read_text(encoding="utf-8")) == found, "make rulegraph"


def last_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what a command said, without Snakemake's line about its profile."""
    return [line for line in (done.stdout + (done.stderr or "")).splitlines() if line and "profile" not in line]


def test_a_study_file_that_is_not_there_is_one_line(fresh: Workplace) -> None:
    for command in ("run", "check"):
        done = subprocess.run(
            [sys.executable, "-m", "uprung", command, "gone.yaml"],
            cwd=fresh.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        (line,) = last_lines(done)
        assert done.returncode == 1
        assert line.startswith("uprung: gone.yaml: there is no such study file")
    # Snakemake opens the file before it reads any workflow; the last line is what it says
    done = fresh.snakemake("-n", study="gone.yaml")
    assert last_lines(done)[-1] == "FileNotFoundError: [Errno 2] No such file or directory: 'gone.yaml'"


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write anywhere")
def test_a_checkout_that_cannot_be_written_is_one_line_and_serves_other_folders(
    fresh: Workplace, tmp_path: Path
) -> None:
    before = NO_ROOT if os.geteuid() == 0 else []
    fresh.folder.chmod(0o555)
    other = tmp_path / "other"
    other.mkdir()
    commands = {
        "snakemake": (["snakemake", "-n"], fresh.folder),
        "run": (["uprung", "run", "config/demo.yaml"], fresh.folder),
        "elsewhere": (["snakemake", "-n", "--snakefile", str(fresh.folder / "Snakefile")], other),
    }
    found = {
        name: subprocess.run(
            [*before, sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, check=False
        )
        for name, (words, folder) in commands.items()
    }
    fresh.folder.chmod(0o755)
    for name in ("snakemake", "run"):
        assert found[name].returncode == 1, found[name]
        line = last_lines(found[name])[0]
        assert line.startswith(f"uprung: {fresh.folder} cannot be written"), found[name]
        assert "in a folder of your own" in line
        assert "Traceback" not in found[name].stderr
    assert found["elsewhere"].returncode == 0, found["elsewhere"].stderr
