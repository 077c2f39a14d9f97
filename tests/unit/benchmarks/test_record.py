from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import record
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from record import Record, case, insert, markdown, measurement, new_record, read, write
from sides import Child, ChildError, highest, in_turn, memory, reset_peak

SECONDS = [4.0, 2.0, 10.0, 3.0, 6.0]


def small_record() -> Record:
    stock = measurement(SECONDS, 8, peak_mib=100.123456)
    fast = measurement([1.0, 1.0, 2.0, 1.0, 1.0], 8, peak_mib=50.0)
    return new_record(
        "speed",
        {"repeats": 5},
        [
            case("headline", "batch 16", {"edges": 7}, stock, fast),
            case("headline", "batch 64", {"edges": 7}, None, fast, "stock ran short of memory"),
        ],
        load=0.25,
    )


def test_medians_quartiles_rates_and_ratio() -> None:
    [first, _] = small_record().cases
    assert first.stock is not None
    assert (first.stock.median, first.stock.quartiles, first.stock.per_second) == (4.0, (3.0, 6.0), 2.0)
    assert first.stock.seconds == SECONDS
    assert first.stock.peak_mib == 100.123
    assert first.ratio == 4.0
    assert first.ratio_range == (2.0, 6.0)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=9), st.integers(1, 500))
def test_summary_does_not_depend_on_the_order_of_repeats(seconds: list[float], structures: int) -> None:
    found, turned = measurement(seconds, structures), measurement(seconds[::-1], structures)
    assert (found.median, found.quartiles) == (turned.median, turned.quartiles)
    assert min(seconds) <= found.quartiles[0] <= found.median <= found.quartiles[1] <= max(seconds)
    assert found.per_second * np.median(seconds) == pytest.approx(structures)


def test_record_survives_its_file_and_names_no_host(tmp_path: Path) -> None:
    written, path = small_record(), tmp_path / "results" / "speed.json"
    write(written, path)
    assert read(path) == written
    assert [file.name for file in path.parent.iterdir()] == ["speed.json"]
    assert {"processor", "cores", "cores_usable", "memory_gib", "gpus"} <= written.hardware.keys()
    assert {"chgnet", "numpy", "pymatgen", "python"} <= written.versions.keys()
    assert os.uname().nodename not in json.loads(path.read_text())["hardware"].values()


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("cases", 0, "stock", "median"), 3.0, "not those of the seconds"),
        (("cases", 0, "stock", "seconds"), [], "at least 1"),
        (("cases", 0, "stock", "peak_mib"), "100", "valid number"),
        (("cases", 0, "ratio"), 5.0, "not that of the medians"),
        (("cases", 0, "stock"), None, "needs a note"),
        (("cases", 1, "note"), "", "needs a note"),
        (("cases", 0, "extra"), 1, "not permitted"),
        (("benchmark",), "Speed test", "pattern"),
        (("date",), "yesterday", "pattern"),
        (("cases",), [], "at least 1"),
    ],
)
def test_what_contradicts_the_schema_is_refused(
    tmp_path: Path, place: tuple[str | int, ...], value: object, message: str
) -> None:
    data = small_record().model_dump(mode="json")
    inner = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path = tmp_path / "speed.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ValidationError, match=message):
        read(path)


def test_tables_have_one_row_per_case_and_no_empty_column() -> None:
    table = record.rows(small_record())
    assert table[0] == ["set", "what", "stock, /s", "uprung, /s", "ratio", "peak, MiB", "note"]
    assert table[1] == ["headline", "batch 16", "2.00", "8.00", "4.0× (2.0–6.0)", "100 / 50.0", ""]
    assert table[2] == ["headline", "batch 64", "", "8.00", "", "– / 50.0", "stock ran short of memory"]
    lines = record.aligned(table).splitlines()
    assert len(lines) == 4
    assert {line.index("2.00") + 4 for line in lines if "2.00" in line} == {lines[0].index("stock, /s") + 9}


def test_markdown_replaces_what_is_between_its_markers(tmp_path: Path) -> None:
    path, page = tmp_path / "speed.json", tmp_path / "page.md"
    write(small_record(), path)
    page.write_text("# Speed\n<!-- speed -->\nold\n<!-- /speed -->\n<!-- other -->\nkept\n<!-- /other -->\n")
    for _ in range(2):
        record.main([str(path), str(page)])
        text = page.read_text()
        assert text.startswith("# Speed\n<!-- speed -->\n| set | what |")
        assert text.endswith("<!-- /speed -->\n<!-- other -->\nkept\n<!-- /other -->\n")
        assert "old" not in text
        assert markdown(small_record()).splitlines()[2] in text
    assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 1
    assert "load before the run 0.2" in text


@pytest.mark.parametrize("page", ["", "<!-- a -->", "<!-- /a --><!-- a -->", "<!-- a --><!-- a --><!-- /a -->"])
def test_pages_without_a_pair_of_markers_are_refused(page: str) -> None:
    with pytest.raises(ValueError, match="exactly once"):
        insert(page, "a", "text")


def test_sides_take_turns_in_both_orders() -> None:
    assert "".join(in_turn(3, "ab")) == "abbaab"


def test_highest_of_what_is_known() -> None:
    assert highest([None, 2.0, 1.0]) == 2.0
    assert highest([None]) is None


SIDE = """
import os, time
class Side:
    def __init__(self, size):
        print("a library greets")
        self.size = size
        time.sleep(0.1)
    def fill(self):
        print("and talks")
        block = b"x" * (self.size * 2**20)
        return {"length": len(block), "threads": os.environ["OMP_NUM_THREADS"]}
    def peak(self):
        from sides import memory
        return memory("VmHWM")
    def reset(self):
        from sides import reset_peak
        reset_peak([os.getpid()])
    def fail(self):
        raise RuntimeError("no more of this")
"""


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "for_test_record.py").write_text(SIDE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "for_test_record:Side"


def test_a_child_answers_and_its_memory_is_its_own(target: str) -> None:
    mine = memory("VmHWM")
    with Child(target, size=200) as large, Child(target, threads=2, size=1) as small:
        assert large.startup >= 0.1
        assert large.ask("fill") == {"length": 200 * 2**20, "threads": "1"}
        assert small.ask("fill")["threads"] == "2"
        if mine is None:
            pytest.skip("this system does not tell the memory of a process")
        assert large.ask("peak") - small.ask("peak") == pytest.approx(199, abs=20)
        large.ask("reset")
        after = large.ask("peak")
    assert after < 200 or not os.access("/proc/self/clear_refs", os.W_OK)
    assert memory("VmHWM") < mine + 100


def test_a_child_that_fails_says_why(target: str) -> None:
    with Child(target, size=1) as child, pytest.raises(ChildError, match=r"(?s)status 1.*no more of this"):
        child.ask("fail")
    with pytest.raises(ChildError, match="unexpected keyword"):
        Child(target, weight=1)


def test_memory_of_a_process_that_is_not_there() -> None:
    assert memory("VmHWM", 2**22 + 1) is None
    reset_peak([2**22 + 1])
