from __future__ import annotations

import numpy as np
import pytest
from factories import make_frame, table_of

from uprung.datasets.store import Dataset
from uprung.evaluation import components as module
from uprung.evaluation.components import components
from uprung.models.data import open_dataset, write_dataset

ROWS = np.array([1, 0])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    frames = table_of(
        [
            make_frame("a", Z=(14, 8), forces=np.array([[0.5, 0, 0], [-0.5, 0, 0]]), stress_gpa=np.eye(3)),
            make_frame("b", Z=(14, 14), forces=None, stress_gpa=2 * np.eye(3)),
        ]
    )
    folder = tmp_path_factory.mktemp("graphs")
    write_dataset(frames, frames.label("energy"), folder, name="chgnet")
    return open_dataset(folder / "manifest.json")


def test_labels_stand_beside_their_predictions(dataset: Dataset) -> None:
    labels = dataset.labels(ROWS)
    found = {"force": 2 * labels.forces, "stress": labels.stress + 1, "energy": labels.energy}
    table = components(found, dataset, ROWS, ["energy", "force", "stress"])
    force, stress = (table[table["target"] == target] for target in ("force", "stress"))
    assert len(table) == 6 + 18, "one frame has no forces, energies are no components"
    np.testing.assert_allclose(force["predicted"], 2 * force["label"])
    np.testing.assert_allclose(stress["predicted"], stress["label"] + 1)
    assert sorted(force["label"]) == [-0.5, 0, 0, 0, 0, 0.5]
    assert (stress["label"] == 2).sum() == 3


def test_many_values_are_thinned_evenly_and_always_alike(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 5)
    found = {"stress": np.arange(18.0).reshape(2, 3, 3)}
    table = components(found, dataset, ROWS, ["stress"])
    assert table["predicted"].tolist() == [0, 4, 8, 12, 17]


def test_without_forces_and_stresses_there_is_an_empty_table(dataset: Dataset) -> None:
    table = components({"energy": np.zeros(2)}, dataset, ROWS, ["energy"])
    assert list(table.columns) == ["target", "label", "predicted"]
    assert not len(table)
