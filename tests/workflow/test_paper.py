"""The published study at full size: planned without data, without a key, and without anything of the demo."""

from __future__ import annotations

import os
import re

import pytest
import yaml
from workplace import REPOSITORY, Workplace, job_counts

from uprung.config.load import load_study

PAPER = "config/paper.yaml"
LIMIT = 20  # seconds


@pytest.fixture
def keyless(fresh: Workplace, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    monkeypatch.delenv("MP_API_KEY", raising=False)
    return fresh


def test_the_whole_plan_is_shown_quickly_and_without_data(keyless: Workplace) -> None:
    begin = os.times()
    done = keyless.snakemake("-n", study=PAPER)
    end = os.times()
    assert done.returncode == 0, done.stdout
    # processor time: on a free machine it is the wall time, and other work on the machine is not the plan's
    seconds = end.children_user + end.children_system - begin.children_user - begin.children_system
    counts = job_counts(done.stdout)
    assert {rule: counts[rule] for rule in ("download", "downloaded_frames", "train_run", "evaluate_run")} == {
        "download": 1,
        "downloaded_frames": 2,
        "train_run": 7 * 6 * 3,
        "evaluate_run": 7 * 6 * 3,
    }
    assert "frames" not in counts
    assert seconds < LIMIT


def test_nothing_of_the_demo_is_planned(keyless: Workplace) -> None:
    demo = yaml.safe_load((REPOSITORY / "config/demo.yaml").read_text())
    done = keyless.snakemake("train", "-n", "--printshellcmds", study=PAPER)
    assert done.returncode == 0, done.stdout
    runs = set(re.findall(r"Training (\S+) on n = (\S+), seed (\d+), (\S+)", done.stdout))
    assert {arm for arm, *_ in runs} == {"m1", "m2", "m3", "m4", "m1-subset", "m4-subset"}
    assert {size for _, size, *_ in runs} == {f"{s}pct" for s in ("0.1", "0.5", "1", "2", "10", "20", "100")}
    assert {seed for *_, seed, _ in runs} == {"11", "12", "13"}
    assert not {arm for arm, *_ in runs} & set(demo["arms"])
    assert not {int(seed) for *_, seed, _ in runs} & set(range(demo["seeds"]))
    assert not any(f"results/{demo['study']}" in line for line in done.stdout.splitlines())
    assert not any(re.search(rf"\b{name}\b", done.stdout) for name in ("solids-pbe", "dimers", "steps2000"))


def test_the_study_is_the_published_one() -> None:
    paper = yaml.safe_load((REPOSITORY / PAPER).read_text())
    training, split = paper["training"], paper["split"]
    assert (training["batch_size"], training["learning_rate"], training["final_learning_rate"]) == (64, 1e-3, 1e-5)
    assert training["weights"] == {"energy": 3.0, "force": 1.0, "stress": 0.1, "magmom": 1.0}
    assert paper["epochs"] == 50
    fits = {name: load_study(paper).references[paper["arms"][name]["references"]] for name in ("m1", "m4")}
    assert {fit.scope for fit in fits.values()} == {"train"}
    assert load_study(paper).budgets["epochs50"].keep == "val-energy"
    assert (split["group"], split["train"], split["val"], split["test"]) == ("material", 8, 1, 1)


def test_downloaded_files_can_take_the_place_of_the_pull(keyless: Workplace) -> None:
    study = keyless.folder / PAPER
    text = study.read_text()
    block = re.search(r"(?m)^#   gga:\n(?:#     .*\n)+#   r2scan:\n(?:#     .*\n)+", text)
    files = yaml.safe_load(re.sub(r"(?m)^#   ", "", block[0]))
    content = yaml.safe_load(text) | {"fidelities": files}
    study.write_text(yaml.safe_dump(content))
    done = keyless.snakemake("-n", study=PAPER)
    assert done.returncode != 0
    assert "file 'downloads/MPtrj_2022.9_full.json' does not exist" in done.stdout
    (keyless.folder / "downloads").mkdir()
    for name in ("MPtrj_2022.9_full.json", "MP-r2SCAN.json"):
        (keyless.folder / "downloads" / name).write_text("{}")
    counts = keyless.planned(study=PAPER)
    assert counts["frames"] == 2
    assert not {"download", "downloaded_frames"} & counts.keys()
