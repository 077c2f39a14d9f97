"""Pseudo-labels of several teachers: means, spreads, which frames are accepted, what a run replays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from uprung.config.arms import Replay
from uprung.datasets.store import Dataset
from uprung.models.predict import predict
from uprung.models.registry import load
from uprung.training.teachers import agreement, replayed_frames, save_pseudo_labels, teach

N_ATOMS = np.array([2, 1, 3])
X = np.zeros((3, 94))
X[0, [0, 1]], X[1, 2], X[2, [0, 2]] = (0.5, 0.5), 1, (1 / 3, 2 / 3)


def predictions(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"energy": (3,), "force": (6, 3), "stress": (3, 3, 3), "magmom": (6,)}
    return {target: rng.normal(size=shape) for target, shape in shapes.items()}


def test_means_and_spreads_are_those_of_a_direct_computation() -> None:
    teachers = [predictions(k) for k in range(3)]
    found = agreement(teachers, np.zeros((3, 94)) + np.eye(94)[0], N_ATOMS, {"force": 1e9})
    for target in ("force", "stress", "magmom"):
        np.testing.assert_allclose(found.mean[target], sum(each[target] for each in teachers) / 3)
    deviation = np.std([each["force"] for each in teachers], axis=0, ddof=1)
    worst = [deviation[:2].max(), deviation[2:3].max(), deviation[3:].max()]
    np.testing.assert_allclose(found.spread["force"], worst)
    moments = np.std([each["magmom"] for each in teachers], axis=0, ddof=1)
    np.testing.assert_allclose(found.spread["magmom"], [moments[:2].max(), moments[2], moments[3:].max()])
    stresses = np.std([each["stress"] for each in teachers], axis=0, ddof=1)
    np.testing.assert_allclose(found.spread["stress"], stresses.reshape(3, 9).max(axis=1))
    # one element: one shift, so that energies are compared after their means are laid on each other
    energies = [each["energy"] - each["energy"].mean() + teachers[0]["energy"].mean() for each in teachers]
    np.testing.assert_allclose(found.mean["energy"], np.mean(energies, axis=0))
    np.testing.assert_allclose(found.spread["energy"], np.std(energies, axis=0, ddof=1))


def test_other_reference_energies_are_no_disagreement() -> None:
    one = predictions(0)
    other = {**one, "energy": one["energy"] + X @ np.linspace(-9, 9, 94)}
    found = agreement([one, other], X, N_ATOMS, {"energy": 1e-9})
    assert found.accepted.all()
    np.testing.assert_allclose(found.mean["energy"], one["energy"], atol=1e-9)


def test_a_frame_is_accepted_when_every_limit_holds() -> None:
    one = predictions(0)
    other = {target: values.copy() for target, values in one.items()}
    other["force"][2, 1] += 0.2 * np.sqrt(2)  # a standard deviation of 0.2 in the second frame
    other["stress"][2, 0, 0] += 3 * np.sqrt(2)
    ask = lambda **limits: agreement([one, other], X, N_ATOMS, limits).accepted.tolist()  # noqa: E731
    assert ask(force=0.19) == [True, False, True]
    assert ask(force=0.21) == [True, True, True]
    assert ask(force=0.19, stress=1.0) == [True, False, False]
    other["force"][0, 0] = np.nan
    assert ask(force=0.21) == [False, True, True]  # no number is no agreement


def test_what_is_accepted_is_counted_saved_and_replayed(dataset: Dataset, tmp_path: Path) -> None:
    rows = np.arange(1, 7)
    teachers = {"pretrained": "chgnet-0.3.0", "other": "chgnet-r2scan"}
    asked: dict[str, Any] = {"targets": ["energy", "force"]}
    _, every = teach(dataset, rows, teachers, **asked, limits={"force": 1e9})
    assert (every["frames"], every["accepted"], every["refused"]) == (6, 6, 0)
    limits = {"force": every["median_spread"]["force"], "energy": 1e9}
    found, counts = teach(dataset, rows, teachers, **asked, limits=limits)
    assert (counts["accepted"], counts["refused"], counts["refused_by"]) == (3, 3, {"force": 3, "energy": 0})
    save_pseudo_labels(tmp_path / "labels.pt", found)
    split = pd.DataFrame({"frame_id": dataset.keys, "fidelity": "low", "split": "train"})
    replayed = replayed_frames(dataset, split, "low", [str(tmp_path / "labels.pt")])
    assert replayed.side == "source"
    assert dataset.keys[replayed.rows].tolist() == found["frames"]
    forces = [predict(load(name), dataset, replayed.rows, targets=["force"])["force"] for name in teachers.values()]
    np.testing.assert_allclose(replayed.labels.forces, np.mean(forces, axis=0), atol=1e-5)
    assert np.isfinite(replayed.labels.energy).all()
    assert np.isnan(replayed.labels.stress).all()  # no teacher was asked
    others = np.setdiff1d(np.arange(len(dataset.energy)), replayed.rows)
    assert np.isnan(replayed.dataset.energy[others]).all()
    assert len(replayed_frames(dataset, split, "low", []).rows) == len(dataset.energy)


def test_teachers_that_never_agree_end_with_the_smallest_spread(dataset: Dataset) -> None:
    teachers = {"a": "chgnet-0.3.0", "b": "chgnet-r2scan"}
    with pytest.raises(ValueError, match=r"agree on none of 2 frames \(smallest spreads: force .*raise `agree`"):
        teach(dataset, np.arange(2), teachers, targets=["force"], limits={"force": 1e-12})
    with pytest.raises(ValueError, match="no source frame of a training material"):
        teach(dataset, np.array([], dtype=int), teachers, targets=["force"], limits={"force": 1})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": "teachers"}, "needs two `teachers` or more"),
        ({"labels": "teachers", "teachers": ["a", "b"]}, "what they have to `agree` on"),
        ({"labels": "teachers", "teachers": ["a"], "agree": {"force": 1}}, "needs two `teachers` or more"),
        ({"labels": "teachers", "teachers": ["a", "a"], "agree": {"force": 1}}, "a given more than once"),
        ({"labels": "teachers", "teachers": ["a", "b"], "agree": {"force": 0}}, "greater than 0"),
        ({"labels": "teachers", "teachers": ["a", "b"], "agree": {"forces": 1}}, "'magmom'"),
        ({"teachers": ["a", "b"]}, "belong to `labels: teachers`"),
        ({"labels": "pretrained", "agree": {"force": 1}}, "belong to `labels: teachers`"),
    ],
)
def test_options_of_teachers_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Replay.model_validate(options)
