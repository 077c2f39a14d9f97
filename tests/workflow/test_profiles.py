"""The profiles fit the workflow: when to rerun, which rules they name, who asks for a GPU."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from typing import Any

import pandas as pd
import pytest
import yaml
from snakemake_executor_plugin_slurm.partitions import read_partition_file
from workplace import DRY_TIMEOUT, MICRO, REPOSITORY, Workplace, job_counts

# prints the resources of every job of a dry run; the messages of the rules hide them in the usual output
RESOURCES = """
import json, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings
with SnakemakeApi(OutputSettings(dryrun=True, quiet={Quietness.ALL})) as api:
    workflow = api.workflow(ResourceSettings(cores=2), ConfigSettings(configfiles=[Path(sys.argv[1])]),
                            snakefile=Path("Snakefile"))
    workflow.dag(DAGSettings(targets={"scaling"}, forceall=True)).execute_workflow(executor="dryrun")
    wanted = ("gpu", "mem_mb", "runtime", "_cores")
    found = {f"{job.rule.name} {job.wildcards.get('size', '')}".strip(): {key: job.resources.get(key) for key in wanted}
             for job in workflow._workflow.dag.jobs}
print(json.dumps(found))
"""


def profile(name: str) -> dict[str, Any]:
    return yaml.safe_load((REPOSITORY / f"profiles/{name}/profile.yaml").read_text())


def rules() -> set[str]:
    files = [REPOSITORY / "Snakefile", *(REPOSITORY / "rules").glob("*.smk")]
    return {
        name
        for file in files
        for name in re.findall(r"^(?:rule|use rule \w+ as) (\w+)", file.read_text(), re.MULTILINE)
    }


@pytest.mark.parametrize("name", ["default", "slurm"])
def test_reruns_hang_on_times_params_and_inputs(name: str) -> None:
    settings = profile(name)
    assert settings["rerun-triggers"] == ["mtime", "params", "input"]
    assert settings["rerun-incomplete"] is True


@pytest.mark.parametrize("name", ["default", "slurm"])
def test_every_rule_that_a_profile_names_exists(name: str) -> None:
    settings = profile(name)
    named = {*settings.get("set-resources", {}), *settings.get("set-threads", {}), *settings.get("groups", {})}
    assert named <= rules()
    assert name == "default" or {"train_run", "evaluate_run"} <= named
    assert set(settings.get("group-components", {})) == set(settings.get("groups", {}).values())


def test_the_partition_file_is_one_that_the_plugin_reads() -> None:
    partitions = read_partition_file(REPOSITORY / profile("slurm")["slurm-partition-config"])
    assert {p.name: p.limits.max_gpu > 0 for p in partitions} == {"cpu": False, "gpu": True}
    assert all(p.limits.max_runtime >= 24 * 60 for p in partitions)


def test_the_default_profile_is_taken_by_itself(fresh: Workplace) -> None:
    done = fresh.snakemake("data", "-n")
    assert "profiles/default" in done.stdout
    assert job_counts(done.stdout)["frames"] == 2


def test_a_dry_run_for_slurm_plans_the_same_jobs(fresh: Workplace) -> None:
    slurm = fresh.planned("scaling", options=("--workflow-profile", "profiles/slurm", "--executor", "dryrun"))
    assert slurm == fresh.planned("scaling")
    assert slurm["train_run"] == 9


def resources(place: Workplace) -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", RESOURCES, MICRO],
        cwd=place.folder,
        capture_output=True,
        text=True,
        timeout=DRY_TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_gpu_is_asked_for_only_where_the_device_is_one(fresh: Workplace) -> None:
    on_cpu = resources(fresh)
    assert {rule for rule, wants in on_cpu.items() if wants["gpu"]} == set()
    assert on_cpu["train_run 60"]["_cores"] == 1
    fresh.configure(lambda content: content["training"].update(device="cuda", threads=2))
    on_gpu = resources(fresh)
    asking = {rule.split()[0]: wants["gpu"] for rule, wants in on_gpu.items() if wants["gpu"]}
    assert asking == dict.fromkeys(("train_run", "evaluate_run", "evaluate_untouched", "predict_pretrained"), 1)
    assert on_gpu["train_run 60"]["_cores"] == 2


def test_time_and_memory_follow_the_resolved_size(finished: Workplace) -> None:
    def asked() -> dict[str, tuple[Any, Any]]:
        found = {rule: wants for rule, wants in resources(finished).items() if rule.startswith("train_run")}
        return {rule.split()[1]: (wants["runtime"], wants["mem_mb"]) for rule, wants in found.items()}

    # optimiser steps take as long at every size; 2 kB per structure are less than a megabyte here
    assert asked() == {"60": (5, 1501), "120": (5, 1501), "240": (5, 1501)}
    changes = {"epochs": 30, "sizes": ["60", "120", "all"], "resources": {"minutes": 100}}
    finished.configure(lambda content: (content.pop("steps"), content.update(changes)))
    found = asked()
    frames = pd.read_csv(finished.results / "split/sizes.csv").set_index("size")["n_frames"]
    whole = len(pd.read_parquet(finished.results / "split/order/seed0.parquet"))
    assert found["60"][0] == math.ceil(100 * max(frames[60] / whole, 0.1))
    assert found["120"][0] == math.ceil(100 * frames[120] / whole)
    assert found["all"][0] == 100


def test_what_is_not_known_yet_is_asked_when_it_is(fresh: Workplace) -> None:
    assert resources(fresh)["train_run 60"]["mem_mb"] == "<TBD>"
