"""Snakemake's conventions: the workflow as a module of another one, and where catalogs look for it."""

from __future__ import annotations

import yaml
from workplace import Workplace, job_counts

HOST = """
configfile: "mine.yaml"


module uprung:
    snakefile: "{folder}/Snakefile"
    config: config


use rule * from uprung


rule summary:
    default_target: True
    input: "results/micro/scaling/laws.csv"
"""


def test_another_workflow_uses_it_as_a_module(fresh: Workplace) -> None:
    place = fresh.folder / "place"
    place.mkdir()
    (place / "Snakefile").write_text(HOST.format(folder=fresh.folder), encoding="utf-8")
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
