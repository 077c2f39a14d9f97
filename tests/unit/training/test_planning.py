"""What a run asks of a scheduler: more for more structures, known as soon as the training order is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from uprung.training.planning import MB_PER_STRUCTURE, run_memory, run_minutes, structures

SIZES = ["10", "10%", "5000", "all"]


def write_order(path: Path, frames: int) -> str:
    """Write an order in which every frame is a unit of its own."""
    rank = range(frames)
    pd.DataFrame({"unit_rank": rank, "n_frames": [r + 1 for r in rank], "frame_id": map(str, rank)}).to_parquet(path)
    return str(path)


@pytest.fixture
def order(tmp_path: Path) -> str:
    return write_order(tmp_path / "order.parquet", 10_000)


def test_memory_grows_with_the_structures(order: str) -> None:
    assert [run_memory(4000, order, size) for size in SIZES] == [4001, 4002, 4010, 4020]
    assert pytest.approx(178 * 1.048576, rel=0.1) == MB_PER_STRUCTURE * 100_096  # as measured


def test_time_is_shared_out_where_epochs_decide(order: str) -> None:
    found = [run_minutes(120, order, size, SIZES, epochs=True) for size in SIZES]
    assert found == [12, 12, 60, 120]
    assert [run_minutes(120, order, size, SIZES, epochs=False) for size in SIZES] == [120] * 4


def test_a_size_beyond_the_data_is_left_to_the_run_to_refuse(order: str) -> None:
    assert structures(order, "10001") == 10_000


def test_what_is_not_there_yet_is_said_so_that_it_is_asked_again(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        run_memory(4000, str(tmp_path / "order.parquet"), "all")
    assert caught.value.filename == str(tmp_path / "order.parquet")  # by which Snakemake knows its own input


def test_a_damaged_order_is_left_to_the_run_to_refuse(order: str) -> None:
    Path(order).write_bytes(b"PAR1")
    assert run_memory(4000, order, "all") == 4000
    assert run_minutes(100, order, "10", ["10", "all"], epochs=True) == 10


def test_an_order_that_was_written_again_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "order.parquet"
    assert structures(write_order(path, 10), "all") == 10
    write_order(path, 20)
    os.utime(path, ns=(1, 1))
    assert structures(str(path), "all") == 20


def test_asking_does_not_load_the_training_code() -> None:
    heavy = "{'torch', 'ase', 'pymatgen', 'lightning', 'scipy'}"
    code = f"import sys, uprung.training.planning; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
