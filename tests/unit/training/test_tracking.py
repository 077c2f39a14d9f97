"""Histories as TensorBoard events, and sent to Weights & Biases and MLflow: the same numbers, every step once."""

from __future__ import annotations

import importlib.util
import math
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_loop import dataset, frames, go  # noqa: F401 - fixtures

from uprung.config.load import StudyError, load_study
from uprung.config.tracking import MLflow, Tracking, WandB
from uprung.datasets.store import Dataset
from uprung.training.resume import TrainingRun
from uprung.training.tracking import Events, scalars, send, tag

KEY = "0123456789abcdef0123456789abcdef01234567"
OPTIONS = {"arm": {"init": "random", "l2_sp": None}, "targets": ["energy", "force"], "size": "400"}


def needs(package: str) -> pytest.MarkDecorator:
    there = importlib.util.find_spec(package) is not None
    return pytest.mark.skipif(not there, reason=f"{package} is not installed: python -m pip install {package}")


needs_events = needs("tensorboard")


def row(step: int, **changes: float) -> dict[str, float]:
    values = {"step": step, "epoch": step / 3, "learning_rate": 1e-3 / (step + 1), "train_loss": 0.1 + step}
    values |= {"val_energy": 1 / 3, "val_loss": math.pi / (step + 1), "grad_readout": 5e-7, "grad_embeddings": math.nan}
    return values | changes


HISTORY = [row(0, train_loss=math.nan), row(3), row(6), row(9)]


def events(folder: Path) -> Iterator[tuple[str, int, float]]:
    """Yield (name, step, value) of the event files in a folder, in the order of writing."""
    from tensorboard.compat.proto.event_pb2 import Event

    for file in sorted(folder.glob("events.out.tfevents.*")):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            yield from ((value.tag, event.step, value.simple_value) for value in event.summary.value)


def expected(history: list[dict[str, float]]) -> dict[tuple[str, int], float]:
    """Return (name, step) -> value in single precision of a history, where there is a number."""
    return {
        (tag(name), int(line["step"])): float(np.float32(value))
        for line in history
        for name, value in line.items()
        if name != "step" and math.isfinite(value)
    }


def assert_holds(folder: Path, history: list[dict[str, float]]) -> None:
    found = list(events(folder))
    assert len(found) == len({(name, step) for name, step, _ in found}), "a step is there twice"
    assert {(name, step): value for name, step, value in found} == expected(history)


def test_curves_are_grouped_and_keep_the_names_of_the_history() -> None:
    names = {"train_loss": "loss", "val_loss": "loss", "val_energy": "validation", "val_magmom": "validation"}
    names |= {"grad_readout": "gradient", "learning_rate": "schedule", "epoch": "schedule"}
    assert {name: tag(name) for name in names} == {name: f"{group}/{name}" for name, group in names.items()}


def test_what_is_no_number_is_left_out() -> None:
    assert scalars({"step": 3, "val_loss": math.nan, "train_loss": 2, "epoch": math.inf}) == {"loss/train_loss": 2.0}


@needs_events
def test_events_hold_the_history_as_it_grows(tmp_path: Path) -> None:
    watch, history = Events(tmp_path / "runs/a"), []
    for line in HISTORY:
        history.append(line)
        watch(history)
        assert_holds(tmp_path / "runs/a", history)  # at once, for who looks while it trains
    watch(history)
    assert_holds(tmp_path / "runs/a", history)


@needs_events
def test_a_run_that_begins_anew_in_its_folder_replaces_what_was_there(tmp_path: Path) -> None:
    Events(tmp_path)(HISTORY)
    (tmp_path / "notes.txt").write_text("mine")
    other = [row(0, val_energy=7.0), row(4)]
    Events(tmp_path)(other)
    assert_holds(tmp_path, other)
    assert (tmp_path / "notes.txt").exists()


def test_nothing_is_written_before_there_is_a_history(tmp_path: Path) -> None:
    Events(tmp_path / "a")
    assert not (tmp_path / "a").exists()


class KilledError(RuntimeError):
    pass


@needs_events
def test_events_of_a_real_run_that_was_interrupted_have_every_step_once(
    dataset: Dataset,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = tmp_path / "events"
    whole, _ = go(dataset, tmp_path / "whole.ckpt", watch=Events(tmp_path / "whole"))
    assert_holds(tmp_path / "whole", whole.history)
    assert len(whole.history) == 4
    assert any(name.startswith("grad_") for name in whole.history[-1])

    def dies(at: int) -> Any:
        write = Events(folder)

        def watch(history: list[dict[str, float]]) -> None:
            write(history)
            if history[-1]["step"] == at:  # written, but the state is not saved yet: the resumed run has it again
                raise KilledError

        return watch

    for at in (3, 6):
        with pytest.raises(KilledError):
            go(dataset, tmp_path / "last.ckpt", watch=dies(at))
    resumed, _ = go(dataset, tmp_path / "last.ckpt", watch=Events(folder))
    assert resumed.resumed > 0
    assert_holds(folder, resumed.history)
    assert expected(resumed.history) == expected(whole.history)
    # and one that had finished when it was killed, before its outputs were written
    again, _ = go(dataset, tmp_path / "last.ckpt", watch=Events(tmp_path / "again"))
    assert_holds(tmp_path / "again", again.history)


# ------------------------------------------------------------------------------------------------------ services


def test_nothing_is_sent_unless_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Tracking().services == []
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    send(Tracking(), HISTORY, results=tmp_path, run="runs/a", options={})
    assert list(tmp_path.iterdir()) == []


def test_packages_that_are_missing_are_told_with_the_way_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    tracking = Tracking(wandb=WandB(project="p"), mlflow=MLflow(tracking_uri="sqlite:///x.db"))
    assert tracking.missing().splitlines() == [
        f"tracking.{name}: the package {name} is not installed; python -m pip install {name}, in every environment "
        "that jobs run in, or take this key out"
        for name in ("wandb", "mlflow")
    ]
    assert Tracking().missing() == ""


@pytest.mark.parametrize(
    "uri",
    [
        *("https://me:hush@host/x", "http://hush@host", "postgresql://host/db?user=u&password=hush"),
        *("https://host/?token=hush", "https://host/x?api_key=hush", "https://host/x#hush", "https://host/?hush"),
        *("mssql://host/db?odbc_connect=PWD%3Dhush", "sqlite:///runs.db?key=hush", "me:hush@host/x"),
    ],
)
def test_passwords_have_no_place_in_a_study(uri: str) -> None:
    with pytest.raises(StudyError, match=r"tracking\.mlflow: tracking_uri: .* MLFLOW_TRACKING_PASSWORD") as caught:
        load_study({"study": "a", "tracking": {"mlflow": {"tracking_uri": uri}}})
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["https://host:5000/x", "sqlite:///at@home.db", "runs", "postgresql://host/db?sslmode=require", "databricks"]
)
def test_addresses_without_secrets(uri: str) -> None:
    assert MLflow(tracking_uri=uri).tracking_uri == uri


def test_a_key_in_a_study_is_an_unknown_key() -> None:
    with pytest.raises(StudyError, match=r"tracking\.wandb\.api_key: unknown key.* \(allowed: project, entity\)"):
        load_study({"study": "a", "tracking": {"wandb": {"project": "p", "api_key": KEY}}})
    with pytest.raises(StudyError) as caught:
        load_study({"study": "a", "MP_API_KEY": KEY, "materials_project": {"api_key": KEY}})
    assert KEY not in str(caught.value)


def test_a_service_that_fails_is_told_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(f"no route to host with {KEY}")

    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr("uprung.training.tracking._to_wandb", fail)
    send(Tracking(wandb=WandB(project="p")), HISTORY, results=tmp_path, run="runs/a", options={})
    told = capsys.readouterr().err
    assert told.startswith("uprung: tracking.wandb: runs/a was not sent: OSError: no route to host")
    assert KEY not in told


def test_jobs_send_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[str] = []
    course: list[int] = []

    def slow(_service: Any, _history: Any, _results: Path, run: str, _options: Any) -> None:
        inside.append(run)
        course.append(len(inside))
        time.sleep(0.05)
        inside.remove(run)

    monkeypatch.setattr("uprung.training.tracking._to_mlflow", slow)
    tracking = Tracking(mlflow=MLflow(tracking_uri="sqlite:///x.db"))
    jobs = [
        threading.Thread(
            target=send, args=(tracking, HISTORY), kwargs={"results": tmp_path, "run": f"r{k}", "options": {}}
        )
        for k in range(4)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert course == [1, 1, 1, 1]


@needs("mlflow")
def test_mlflow_holds_the_history(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import mlflow

    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    tracking = Tracking(mlflow=MLflow(tracking_uri=uri))
    results = tmp_path / "results/demo"
    for run in ("runs/a", "runs/b"):
        send(tracking, HISTORY, results=results, run=run, options=OPTIONS)
    assert "was not sent" not in capfd.readouterr().err
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("demo")
    found = client.search_runs([experiment.experiment_id])
    assert {run.info.run_name for run in found} == {"runs/a", "runs/b"}
    for run in found:
        assert run.info.status == "FINISHED"
        assert run.data.params["arm/init"] == "random"
        for name in HISTORY[1].keys() - {"step"}:
            stored = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, tag(name))]
            assert stored == [(h["step"], h[name]) for h in HISTORY if math.isfinite(h[name])]


@needs("wandb")
def test_wandb_holds_the_history_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    results = tmp_path / "results/demo"
    send(Tracking(wandb=WandB(project="p")), HISTORY, results=results, run="runs/a", options=OPTIONS)
    printed = capfd.readouterr()
    assert "was not sent" not in printed.err
    (stored,) = results.glob("tracking/wandb/offline-run-*/run-*.wandb")
    names = [tag(name).encode() for name in HISTORY[1].keys() - {"step", "grad_embeddings"}]
    end = time.monotonic() + 60
    while missing := [name for name in names if name not in stored.read_bytes()]:
        assert time.monotonic() < end, missing  # a process of its own writes the file
        time.sleep(0.1)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in printed.out + printed.err


def test_run_is_untouched_by_who_watches(dataset: Dataset, tmp_path: Path) -> None:  # noqa: F811
    seen: list[int] = []
    with_, model = go(dataset, tmp_path / "a.ckpt", watch=lambda history: seen.append(len(history)))
    without, other = go(dataset, tmp_path / "b.ckpt")
    assert seen == [1, 2, 3, 4]
    assert isinstance(without, TrainingRun)
    np.testing.assert_equal(with_.history, without.history)
    pairs = zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@needs_events
def test_tensorboards_own_reader_takes_every_record(tmp_path: Path) -> None:
    """It checks both checksums of each; the first record is the version of the format."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New

    Events(tmp_path)(HISTORY)
    (file,) = tmp_path.glob("events.out.tfevents.*")
    found = list(LegacyEventFileLoader(str(file)).Load())
    assert [event.file_version for event in found] == ["brain.Event:2", *[""] * len(HISTORY)]
    assert [event.step for event in found[1:]] == [line["step"] for line in HISTORY]
    assert all(abs(event.wall_time - time.time()) < 600 for event in found)
    data = bytearray(file.read_bytes())
    data[30] ^= 1
    file.write_bytes(data)
    reader = PyRecordReader_New(str(file))
    with pytest.raises(Exception, match=r"(?i)crc|checksum|corrupt"):
        list(iter(reader.GetNext, None))
