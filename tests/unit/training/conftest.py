"""What tests of several parts of training share."""

from __future__ import annotations

from dataclasses import replace

import pytest
from factories import DATA, table_of

from uprung.datasets.store import Dataset
from uprung.models.data import open_dataset, write_dataset
from uprung.sources import READERS


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return every fortieth of the embedded crystals with their PBE labels."""
    folder = tmp_path_factory.mktemp("data")
    solids = list(READERS["solids"].read(DATA / "solids" / "solids.jsonl.gz", "PBE"))[::40]
    frames = table_of([replace(f, label_scale="one") for f in solids])
    write_dataset(frames, frames.label("energy"), folder, name="chgnet")
    return open_dataset(folder / "manifest.json")
