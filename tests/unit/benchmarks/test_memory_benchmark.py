from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from memory import Run, repeat
from sets import SETS
from throughput_sides import frames_of

from uprung.models.data import open_dataset, write_dataset


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    small, large = tmp_path_factory.mktemp("stores") / "small", tmp_path_factory.mktemp("stores") / "large"
    data = SETS["solids"]()
    few = replace(data, structures=data.structures[:70])
    frames = frames_of(few)
    write_dataset(frames, frames.label("energy"), small, name="chgnet")
    repeat(small, large, 3)
    return small, large


def test_a_repeated_store_holds_the_same_structures_several_times(folders: tuple[Path, Path]) -> None:
    small, large = (open_dataset(folder / "manifest.json") for folder in folders)
    assert len(large.energy) == len(large.inputs) == 3 * len(small.energy) == 210
    assert len(set(large.keys)) == 210
    rows = np.array([3, 0, 41])
    for shift in (0, 70, 140):
        one, other = small.inputs.pack(rows), large.inputs.pack(rows + shift)
        assert all(np.array_equal(value, getattr(other, name)) for name, value in vars(one).items())
        a, b = small.labels(rows), large.labels(rows + shift)
        assert all(np.array_equal(value, getattr(b, name)) for name, value in vars(a).items())


def test_a_run_tells_its_private_memory(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memory.STEPS", 2)
    answer = Run(str(folders[1])).run()
    assert answer["structures"] == 210
    assert answer["peak"] >= answer["before"] > 50  # MiB; torch alone takes more
