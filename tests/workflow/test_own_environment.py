"""A study of an architecture with an environment of its own (MACE), by real Snakemake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from workplace import MICRO, REPOSITORY, STUDY_TIMEOUT, Workplace, checkout

INSTALLED = (REPOSITORY / ".venv-mace/bin/python").exists()


def study(**changes: Any) -> dict[str, Any]:
    content = yaml.safe_load((REPOSITORY / MICRO).read_text(encoding="utf-8"))
    arms = {
        "scratch": {"init": "random"},
        "joint": {"init": "random", "replay": 0.5, "fidelities": "joint"},
    }
    return content | {"study": "mace", "architecture": "mace", "sizes": [30], "steps": 4, "arms": arms} | changes


def test_without_its_environment_no_job_starts(tmp_path: Path) -> None:
    place = checkout(tmp_path)
    (tmp_path / "mace.yaml").write_text(yaml.safe_dump(study()), encoding="utf-8")
    done = place.snakemake("all", "--cores", "1", study="mace.yaml")
    assert done.returncode == 1
    told = [line for line in done.stdout.splitlines() if line.startswith("uprung: ")]
    assert told == [
        "uprung: MACE runs in an environment of its own: make mace, or snakemake --sdm conda (docs/architectures.md)"
    ]
    assert not (tmp_path / "results/mace/logs").exists()


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED, reason="MACE has an environment of its own: make mace")
def test_networks_are_trained_and_tested_in_its_environment(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    (tmp_path / "mace.yaml").write_text(yaml.safe_dump(study()), encoding="utf-8")
    (tmp_path / "data").symlink_to(REPOSITORY / "data")
    command = ("train", "--cores", "2", "--snakefile", str(REPOSITORY / "Snakefile"))
    done = place.snakemake(*command, study="mace.yaml", timeout=STUDY_TIMEOUT)
    assert done.returncode == 0, done.stdout
    index = pd.read_csv(tmp_path / "results/mace/models/index.csv")
    assert set(index["arm"]) == {"scratch", "joint"}
    assert set(index["loads_in"]) == {"mace: mace.calculators.MACECalculator"}
    for arm in ("scratch", "joint"):
        card = yaml.safe_load((tmp_path / f"results/mace/runs/steps4/{arm}/n30/seed0/card.yaml").read_text())
        assert card["architecture"] == "mace"
        assert card["versions"]["e3nn"] == "0.4.4"
        assert card["versions"]["mace-torch"] == "0.3.16"
    for job in ("runs/steps4/scratch/n30/seed0/train", "runs/steps4/joint/n30/seed0/evaluate"):
        assert (tmp_path / f"results/mace/logs/{job}.log").exists()
        (measured,) = pd.read_csv(tmp_path / f"results/mace/benchmarks/{job}.tsv", sep="\t").to_dict("records")
        assert measured["max_rss"] > 300  # MB, of the interpreter that took the job over
    assert "step 4 of 4" in (tmp_path / "results/mace/logs/runs/steps4/joint/n30/seed0/train.log").read_text()
    again = place.snakemake(*command, "-n", study="mace.yaml")
    assert "Nothing to be done" in again.stdout
