from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pulled_rows import TASK, material, task_row, trajectory_row

from uprung.sources.materials_project import chunks
from uprung.sources.materials_project.buckets import BucketRows, Buckets
from uprung.sources.materials_project.corrections import mp2020
from uprung.sources.materials_project.materials import MaterialData, Options, Result

OPTIONS = Options("PBE", correction=mp2020)


def world(n: int) -> tuple[list[MaterialData], BucketRows, BucketRows]:
    """Return materials with one calculation each: every third one's last frame twice, every fifth without a task."""
    materials, tasks, trajectories = [], [], []
    for k in range(n):
        number = TASK + 2 * k
        materials.append(material(number=number - 1, listed={number: "GGA"}, tasks={}, trajectories={}))
        row = trajectory_row()
        if k % 3 == 0:
            row = {key: [*v, v[-1]] if isinstance(v, list) and key != "elements" else v for key, v in row.items()}
            row["num_ionic_steps"] = 4
        trajectories.append(row)
        tasks.append(task_row() if k % 5 else task_row(output={"energy": None}))
    places = {TASK + 2 * k: [k] for k in range(n)}
    return materials, rows_of(tasks, places), rows_of(trajectories, places)


def rows_of(rows: list[dict[str, Any]], places: dict[int, list[int]]) -> BucketRows:
    for row in rows:
        if "input" in row:
            row["input"] = {**row["input"], "hubbards": None}
    return BucketRows(pa.Table.from_pylist(rows), places)


def read(processes: int, n: int) -> list[Result]:
    with chunks.reader(processes) as reader:
        return [result for results in reader(chunks.cut(*world(n)), OPTIONS) for result in results]


def plain(result: Result) -> dict[str, Any]:
    rows = [{key: getattr(v, "tolist", lambda v=v: v)() for key, v in frame.row().items()} for frame in result.frames]
    return {**vars(result), "frames": rows}


def test_several_processes_read_what_one_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK", 3)
    one = read(1, 20)
    monkeypatch.setattr(chunks, "read_material", None)  # here, so that other processes have to read them
    two = read(2, 20)
    assert [plain(result) for result in two] == [plain(result) for result in one]
    fell = defaultdict(list)
    for k, result in enumerate(one):
        for item in result.dropped:
            fell[item.stage].append(k)
    assert fell == {"unusable": [0, 5, 10, 15], "duplicate": [3, 6, 9, 12, 18]}
    assert [len(result.frames) for result in one[:5]] == [0, 3, 3, 3, 3]
    assert one[1].frames[0].correction == pytest.approx(-0.614)


def test_a_part_of_the_rows_is_those_rows() -> None:
    rows = BucketRows(pa.table({"a": [0, 1, 2, 3, 4]}), {7: [0, 3], 8: [1], 9: [2, 4]})
    part = rows.part([9, 5, 7])
    assert part.table.num_rows == 4
    assert (part.rows(9), part.rows(7)) == ([{"a": 2}, {"a": 4}], [{"a": 0}, {"a": 3}])
    assert part.rows(8) == part.rows(5) == []
    assert rows.part([5]).table is None


def test_files_that_lack_columns_of_later_ones_share_a_bucket_with_them(tmp_path: Path) -> None:
    older = {"task_id": "mp-7", "input": {"incar": "{}"}}
    newer = {"task_id": "mp-8", "batch_id": "b", "input": {"incar": "{}", "kpoints": {"n": 4}}}
    tables = [pa.Table.from_pylist([row]) for row in (older, newer)]
    buckets = Buckets(tmp_path, "tasks", [table.schema for table in tables])
    for table in tables:
        buckets.add(0, table)
    buckets.close()
    rows = BucketRows.read(tmp_path, "tasks", 0, "task_id")
    assert rows.rows(7) == [{**older, "batch_id": None, "input": {"incar": "{}", "kpoints": None}}]
    assert rows.rows(8) == [newer]
    assert BucketRows.read(tmp_path, "tasks", 0, "task_id").rows(7) == []  # it is read once
