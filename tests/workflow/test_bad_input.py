"""Bad input: one clear message, as early as it can be known, and nothing costly before it."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from workplace import DRY_TIMEOUT, MICRO, Workplace

from uprung.frames.schema import SCHEMA, Frame
from uprung.frames.table import read_frames

RUN_TIMEOUT = 300


def bad_arm(content: dict[str, Any]) -> None:
    content["arms"]["residual-ref"]["init"] = "warm"


def bad_arm_key(content: dict[str, Any]) -> None:
    content["arms"]["scratch"]["reference"] = "target"


def unknown_reference(content: dict[str, Any]) -> None:
    content["arms"]["scratch"]["references"] = "targets"


def missing_file(content: dict[str, Any]) -> None:
    content["fidelities"]["pbe"]["sources"][0]["file"] = "data/diatomics/dimers.json.gz"


# change of the study -> what the message names beside the file: key, then what is allowed or was asked for
BEFORE_ANY_JOB: dict[str, tuple[Callable[[dict[str, Any]], Any], list[str]]] = {
    "unknown key": (
        lambda content: content["training"].update(learning_rte=1e-3),
        ["training.learning_rte", "unknown key", "did you mean 'learning_rate'", "allowed:", "huber_delta"],
    ),
    "unknown section": (
        lambda content: content.update(trainings={"batch_size": 3}),
        ["trainings", "unknown key", "did you mean 'training'", "allowed:"],
    ),
    "unknown arm option": (bad_arm, ["arms.residual-ref.init", "'warm'", "allowed: random, pretrained"]),
    "unknown arm key": (bad_arm_key, ["arms.scratch.reference: unknown key", "did you mean 'references'"]),
    "unknown reference": (
        unknown_reference,
        ["arms.scratch.references", "'targets'", "did you mean 'target'", "allowed: target, source, residual"],
    ),
    "key of an earlier version": (
        lambda content: content["training"].update(minutes=5),
        ["training.minutes: replaced by `resources.minutes`"],
    ),
    "duplicate seeds": (lambda content: content.update(seeds=[0, 1, 0]), ["seeds", "0 given more than once"]),
    "duplicate sizes": (lambda content: content.update(sizes=[60, 120, 60]), ["sizes", "60 given more than once"]),
    "a size that is none": (lambda content: content.update(sizes=[60, "many"]), ["sizes", "'many'", "'all'"]),
    "a service in a study with a key": (
        lambda content: content.update(tracking={"wandb": {"project": "a", "key": "0123456789"}}),
        ["tracking.wandb.key", "unknown key", "allowed: project, entity"],
    ),
    "missing file": (missing_file, ["fidelities.pbe", "data/diatomics/dimers.json.gz", "does not exist"]),
}


if importlib.util.find_spec("wandb") is None:
    BEFORE_ANY_JOB["a service without its package"] = (
        lambda content: content.update(tracking={"wandb": {"project": "a"}}),
        ["tracking.wandb", "the package wandb is not installed", "python -m pip install wandb"],
    )


@pytest.mark.parametrize("name", BEFORE_ANY_JOB)
def test_the_study_file_is_checked_before_any_job(fresh: Workplace, name: str) -> None:
    change, words = BEFORE_ANY_JOB[name]
    fresh.configure(change)
    done = fresh.snakemake("all", "--cores", "1")
    assert done.returncode != 0
    assert [word for word in [MICRO, *words] if word not in done.stdout] == [], done.stdout
    assert "Traceback" not in done.stdout
    assert "Job stats" not in done.stdout
    assert not (fresh.folder / "results").exists()


@pytest.mark.parametrize("name", ["../../x", "/x", "a/b", "..", "", "a b"])
def test_a_name_on_the_command_line_is_checked_like_one_in_the_file(fresh: Workplace, name: str) -> None:
    before = sorted(path.name for path in fresh.folder.parent.iterdir())
    done = fresh.start("all", "--cores", "1", "--config", f"study={name}")
    output, _ = done.communicate(timeout=DRY_TIMEOUT)
    assert done.returncode != 0
    assert f"study: {name or None!r}" in output
    assert "Traceback" not in output
    assert not (fresh.folder / "results").exists()
    assert sorted(path.name for path in fresh.folder.parent.iterdir()) == before


def test_what_yaml_reads_as_something_else_is_refused_with_file_and_line(fresh: Workplace) -> None:
    study = fresh.folder / MICRO
    lines = study.read_text().splitlines()
    study.write_text("\n".join([*lines, "seeds: [0]", "analysis: {bootstrap: 0200, force_limit: yes}", ""]))
    done = fresh.snakemake("all", "-n")
    assert done.returncode != 0
    assert f"{MICRO}, line {len(lines) + 1}: seeds: given twice" in done.stdout
    assert f"{MICRO}, line {len(lines) + 2}: analysis.bootstrap: YAML reads 0200 as octal" in done.stdout
    study.write_text("\n".join([*lines, "tests: {forgetting: {frames: yes}}", ""]))
    done = fresh.snakemake("all", "-n", "--config", "seeds=2")
    assert f"{MICRO}, line {len(lines) + 1}: tests.forgetting.frames: yes, no" in done.stdout
    assert "Traceback" not in done.stdout


def test_all_problems_are_told_at_once(fresh: Workplace) -> None:
    def change(content: dict[str, Any]) -> None:
        content["arms"]["scratch"]["trainable"] = "some"
        content["seeds"] = [1, 1]

    fresh.configure(change)
    output = fresh.snakemake("all", "-n").stdout
    assert "arms.scratch.trainable" in output
    assert "seeds" in output


def refused(place: Workplace, words: Sequence[str]) -> None:
    """Run the study up to its trainings and check that it stops, with a message, before graphs and trainings."""
    done = place.snakemake("train", "--cores", "2", timeout=RUN_TIMEOUT)
    assert done.returncode != 0
    told = [line for line in done.stdout.splitlines() if line.startswith("uprung: ")]
    assert told, done.stdout
    assert [word for word in words if not any(word in line for line in told)] == [], "\n".join(told)
    assert not (place.results / "graphs").exists()
    assert not (place.results / "runs").exists()


def test_a_size_larger_than_the_data(fresh: Workplace) -> None:
    def change(content: dict[str, Any]) -> None:
        content["sizes"] = [60, 99999]
        content["arms"] = {"checkpoint-ref": content["arms"]["checkpoint-ref"]}

    fresh.configure(change)
    refused(fresh, ["sizes: 99999", "the training split has", "'all'"])


@pytest.mark.long
def test_a_size_larger_than_the_data_added_later(finished: Workplace) -> None:
    finished.configure(lambda content: content["sizes"].append(99999))
    done = finished.snakemake("train", "--cores", "2", timeout=RUN_TIMEOUT)
    assert done.returncode != 0
    assert re.search("^uprung: .*sizes: 99999 frames asked for", done.stdout, re.MULTILINE)
    trained = [file for file in finished.results.glob("runs/*/*/n99999/*/*") if file.is_file()]
    assert trained == []


def test_a_target_without_labels(fresh: Workplace) -> None:
    fresh.configure(lambda content: content["transfer"]["targets"].append("stress"))
    refused(fresh, ["r2scan", "no stress labels", "transfer.targets", "labels here: energy, force, magmom"])


def dimer(name: str, **changes: Any) -> Frame:
    """Return a labelled nitrogen dimer in a large cell."""
    values: dict[str, Any] = {
        "frame_id": name,
        "material_id": "N2",
        "source": "own",
        "functional": "PBE",
        "run_type": "static",
        "label_scale": "code A",
        "Z": np.array([7, 7], dtype=np.uint8),
        "lattice": 12.0 * np.eye(3),
        "frac": np.array([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0]]),
        "energy": -16.0,
        "forces": np.array([[0.1, 0.0, 0.0], [-0.1, 0.0, 0.0]]),
    }
    return Frame(**{**values, **changes})


def own_table(place: Workplace, frames: Sequence[Frame], fidelity: str = "pbe") -> None:
    """Make the frames a data file of the study and let one of its fidelities read it."""
    file = f"data/own/{fidelity}.parquet"
    (place.folder / file).parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist([frame.row() for frame in frames], schema=SCHEMA), place.folder / file)
    source = [{"format": "frames", "file": file}]
    place.configure(lambda content: content["fidelities"][fidelity].update(sources=source))


def test_two_functionals_in_one_fidelity(fresh: Workplace) -> None:
    own_table(fresh, [dimer("a"), dimer("b", functional="PBE+U")])
    refused(fresh, ["own: frame b", "'PBE+U'", "'PBE'", "one fidelity holds one functional"])


def test_two_label_scales_in_one_fidelity(fresh: Workplace) -> None:
    own_table(fresh, [dimer("a"), dimer("b", label_scale="code B")])
    refused(fresh, ["own: frame b", "'code B'", "'code A'", "never share one fidelity"])


@pytest.mark.parametrize(
    ("moved", "words"),
    [
        (0.0, ["pair dimers: 3 of 3 pairs have the same energy", "`pairs.dimers.identical_labels: true`"]),
        (0.01, ["pair dimers: 0 of 3 and 3 frames match within 0.001 Å", "the nearest, ", "`match: material`"]),
    ],
    ids=["one functional under two names", "no geometry in common"],
)
def test_fidelities_that_cannot_be_compared(fresh: Workplace, moved: float, words: list[str]) -> None:
    def frames(end: float, **changes: Any) -> list[Frame]:
        place = [np.array([[0.0, 0, 0], [0.1 + 0.02 * k + end, 0, 0]]) for k in range(3)]
        return [dimer(f"{end}-{k}", energy=-16.0 + k, frac=frac, **changes) for k, frac in enumerate(place)]

    own_table(fresh, frames(0.0))
    own_table(fresh, frames(moved, functional="r2SCAN"), "r2scan")
    refused(fresh, words)


def test_labels_that_cannot_be_are_listed_and_left_out(fresh: Workplace) -> None:
    forces = np.zeros((2, 3))
    forces[1, 2] = np.nan
    bad = {
        "no-energy": dimer("no-energy", energy=float("nan")),
        "absurd": dimer("absurd", energy=-1e6),
    }
    no_force = dimer("no-force", energy=-15.5, forces=forces)  # of the source, which no arm is trained on
    own_table(fresh, [dimer("a"), *bad.values(), dimer("b", energy=-15.0), no_force, dimer("c")])
    manifest: Path = fresh.results / "frames/pbe/manifest.json"
    done = fresh.snakemake(str(manifest.relative_to(fresh.folder)), "--cores", "1")
    assert done.returncode == 0, done.stdout
    facts = json.loads(manifest.read_text(encoding="utf-8"))
    assert (facts["read"], facts["written"]) == (6, 3)
    reasons = {entry["frame_id"]: entry["reason"] for entry in facts["rejected"]}
    assert set(reasons) == {*bad, "c"}
    assert "energy" in reasons["no-energy"]
    assert "no-force" in json.dumps(facts["emptied"])
    assert "beyond" in reasons["absurd"]
    assert "same structure and energy" in reasons["c"]
    assert facts["same_geometry_other_energy"]["frame_ids"] == [["a", "b", "no-force"]]
    assert read_frames(manifest).strings("frame_id") == ["a", "b", "no-force"]
