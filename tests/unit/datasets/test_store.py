from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from factories import DATA, make_frame, table_of

from uprung.datasets.store import Dataset, DatasetError, rows_of
from uprung.frames.schema import Frame
from uprung.frames.table import Frames
from uprung.job.files import DamagedError
from uprung.models.data import open_dataset, write_dataset
from uprung.sources import READERS


def mixed_frames() -> list[Frame]:
    solids = list(READERS["solids"].read(DATA / "solids" / "solids.jsonl.gz", "PBE"))[:3]
    return [
        make_frame("d", magmom=np.array([1.5, -0.5]), forces=np.arange(6.0).reshape(2, 3)),
        *solids,
        make_frame("bare", Z=(8, 1, 1), bond=1.0, forces=None),
    ]


@pytest.fixture(scope="module")
def frames() -> Frames:
    return table_of(mixed_frames())


@pytest.fixture(scope="module")
def dataset(frames: Frames, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("graphs")
    done: list[int] = []
    write_dataset(frames, frames.label("energy"), folder, progress=done.append, name="chgnet")
    assert sum(done) == len(frames)
    return open_dataset(folder / "manifest.json")


def test_labels_are_those_of_the_frames_in_any_order(dataset: Dataset) -> None:
    frames = mixed_frames()
    rows = np.array([3, 0, 4, 1])
    labels = dataset.labels(rows)
    chosen = [frames[i] for i in rows]
    np.testing.assert_array_equal(labels.energy, [f.energy / len(f.Z) for f in chosen])
    for name, found in (("forces", labels.forces), ("magmom", labels.magmom)):
        wanted = [
            np.full((len(f.Z), 3) if name == "forces" else len(f.Z), np.nan)
            if getattr(f, name) is None
            else np.abs(getattr(f, name))
            if name == "magmom"
            else getattr(f, name)
            for f in chosen
        ]
        np.testing.assert_array_equal(found, np.concatenate(wanted).astype(np.float32))
    for found, frame in zip(labels.stress, chosen, strict=True):
        wanted = np.full((3, 3), np.nan) if frame.stress_gpa is None else frame.stress_gpa
        np.testing.assert_array_equal(found, np.asarray(wanted, dtype=np.float32))
    assert labels.stress.shape == (4, 3, 3)


def test_inputs_are_those_of_the_same_rows(dataset: Dataset) -> None:
    frames, rows = mixed_frames(), np.array([4, 2, 0])
    packed = dataset.inputs.pack(rows)
    np.testing.assert_array_equal(packed.numbers, np.concatenate([frames[i].Z for i in rows]))
    np.testing.assert_array_equal(packed.n_atoms, [len(frames[i].Z) for i in rows])
    assert len(dataset.labels(rows).forces) == len(packed.numbers)


@pytest.mark.parametrize(("limit", "most"), [(1, 100), (200, 100), (10**9, 2), (10**9, 100)])
def test_chunks_hold_every_row_in_order(dataset: Dataset, limit: int, most: int) -> None:
    rows = np.array([4, 0, 3, 2, 2, 1])
    chunks = dataset.chunks(rows, limit=limit, most=most)
    np.testing.assert_array_equal(np.concatenate(chunks), rows)
    for chunk in chunks:
        assert 1 <= len(chunk) <= most
        assert len(chunk) == 1 or dataset.inputs.costs()[chunk].sum() <= limit
    assert dataset.chunks(rows[:0], limit=limit) == []


def test_composition(dataset: Dataset, frames: Frames) -> None:
    rows = np.array([4, 0, 2, 2])
    np.testing.assert_array_equal(dataset.composition(rows), frames.composition()[rows])


def test_rows_by_name(dataset: Dataset, frames: Frames) -> None:
    names = frames.strings("frame_id")
    assert rows_of(dataset, [names[3], names[0]]).tolist() == [3, 0]
    with pytest.raises(DatasetError, match="frame nobody is named by the split or an order, but not in the data"):
        rows_of(dataset, [names[1], "nobody"])


def test_manifest_counts_labels(dataset: Dataset) -> None:
    facts, atoms = dataset.manifest, sum(len(f.Z) for f in mixed_frames())
    assert (facts["frames"], facts["atoms"]) == (5, atoms)
    assert facts["labels"] == {"energy": 5, "forces": 3 * (atoms - 3), "stress": 27, "magmom": 2}
    assert facts["label_scale"] == "scale A"


OTHER = {"energy": -2.5, "forces": np.ones((2, 3)), "stress_gpa": np.eye(3), "magmom": np.array([1.5, -0.25])}


@pytest.mark.parametrize("label", OTHER)
def test_other_labels_are_another_manifest(frames: Frames, tmp_path: Path, label: str) -> None:
    """Snakemake compares manifests; labels that it does not see change would leave old networks beside new labels."""
    own = mixed_frames()
    tables = (frames, frames, table_of([replace(own[0], **{label: OTHER[label]}), *own[1:]]))
    one, again, other = (
        write_dataset(table, table.label("energy"), tmp_path / str(k), name="chgnet") for k, table in enumerate(tables)
    )
    assert one == again
    assert one["arrays"] != other["arrays"]
    assert one["inputs"] == other["inputs"]


def test_a_damaged_block_is_refused_when_it_is_read(frames: Frames, tmp_path: Path) -> None:
    write_dataset(frames, frames.label("energy"), tmp_path, name="chgnet")
    file = tmp_path / "labels/forces.npy"
    content = bytearray(file.read_bytes())
    content[-3] ^= 4
    file.write_bytes(content)
    dataset = open_dataset(tmp_path / "manifest.json")
    with pytest.raises(
        DamagedError, match=r"forces\.npy is damaged in its bytes .* Delete .*/manifest\.json and start"
    ):
        dataset.labels(np.array([0]))


def test_labels_cannot_be_written_to(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="read-only"):
        dataset.forces.whole()[0] = 0.0


def test_a_frame_without_graph_is_a_contradiction(tmp_path: Path) -> None:
    frames = table_of([make_frame("fine"), make_frame("far", bond=7.0)])
    with pytest.raises(DatasetError, match=r"frame far has no graph \(.*no neighbour within 6 Å"):
        write_dataset(frames, frames.label("energy"), tmp_path, name="chgnet")
    assert not (tmp_path / "manifest.json").exists()
