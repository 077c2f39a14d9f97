from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uprung.frames.schema import FramesError, Rejected
from uprung.sources import json_records
from uprung.sources.json_records import Record, read_records

# what confuses a scanner of braces: braces, quotes and backslashes in strings, also at the ends
TEXT = st.text(alphabet='{}[]"\\:, aé\n\u2028😀', max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.lists(
    st.dictionaries(TEXT, VALUES, max_size=4).map(lambda d: {"structure": 1, **d}), min_size=1, max_size=6
)
STYLE = st.fixed_dictionaries({"indent": st.none() | st.integers(0, 2), "ensure_ascii": st.booleans()})
FORMS = ("list", "lines", "by name", "nested", "one")


def texts(form: str, records: list[dict[str, Any]], style: dict[str, Any]) -> tuple[str, list[tuple[str, ...]]]:
    """Return a file and the names above its records."""
    names = [f'na"me\\{{ {k}' for k in range(len(records))]
    if form == "list":
        return json.dumps(records, **style), [()] * len(records)
    if form == "lines":
        return "\n".join(json.dumps(r) for r in records), [()] * len(records)
    if form == "by name":
        return json.dumps(dict(zip(names, records, strict=True)), **style), [(name,) for name in names]
    if form == "one":
        return json.dumps(records[0], **style), [()]
    groups = {f"m{k}": {names[k]: record} for k, record in enumerate(records)}
    groups["empty"] = {}
    return json.dumps(groups, **style), [(f"m{k}", names[k]) for k in range(len(records))]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.sampled_from(FORMS), records=RECORDS, style=STYLE, chunk=st.integers(16, 300))
def test_records_are_those_of_the_json_library(
    form: str, records: list, style: dict, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the layout, the white space, and where the file is cut into chunks."""
    text, names = texts(form, records, style)
    (tmp_path / "x").write_text(text)
    monkeypatch.setattr(json_records, "CHUNK", max(chunk, text.index('"structure"') + 20))
    found = list(read_records(tmp_path / "x", "structure"))
    assert found == [Record(n, k, r) for k, (n, r) in enumerate(zip(names, records, strict=False))]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.sampled_from(["list", "by name", "nested", "one"]), records=RECORDS, data=st.data())
def test_a_file_that_is_cut_off_is_never_taken_for_a_whole_one(
    form: str, records: list, data: st.DataObject, tmp_path: Path
) -> None:
    text, _ = texts(form, records, {})
    encoded = text.encode()[: data.draw(st.integers(0, len(text.encode()) - 1))]
    (tmp_path / "x").write_bytes(encoded)
    with pytest.raises(FramesError):
        list(read_records(tmp_path / "x", "structure"))


def read(text: str, tmp_path: Path) -> list[Any]:
    (tmp_path / "x").write_text(text)
    return list(read_records(tmp_path / "x", "structure"))


def test_a_broken_record_costs_itself_only(tmp_path: Path) -> None:
    good = '{"structure": 1}'
    found = read(f'{{"m": {{"a": {good}, "b": {{"structure": nan}}, "c": {good}}}}}', tmp_path)
    assert [type(f) for f in found] == [Record, Rejected, Record]
    assert found[1].frame_id == "b"
    assert found[1].reason.startswith("not valid JSON at byte 35 of the file")
    assert found[2].names == ("m", "c")


def test_values_in_the_place_of_records_are_listed(tmp_path: Path) -> None:
    good = '{"structure": 1}'
    text = f'{{"version": 3, "m": {{"a": null, "b": {good}, "c": [1, 2], "d": "x"}}, "n": {{"e": {good}}}}}'
    found = read(text, tmp_path)
    assert [f.names for f in found if isinstance(f, Record)] == [("m", "b"), ("n", "e")]
    listed = {f.frame_id: f.reason for f in found if isinstance(f, Rejected)}
    assert list(listed) == ["version", "m/a", "m/c", "m/d"]
    assert listed["m/a"] == "no JSON object where a record is expected, but null"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        (" \n ", "the file is empty"),
        ('{"a": 1}', "there is no 'structure' in its first 8 bytes"),
        ("<!DOCTYPE html><html>", "the file is an HTML page, so the download failed"),
        ("version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        ("a,b\n1,2\n", "but the file is of an unknown kind"),
        ('[{"structure": 1}, {"structure": 1}', "1 of its brackets are never closed"),
        ('{"a": {"structure": 1}', "1 of its brackets are never closed"),
        ('{"a": {"structure": 1}, "b": {"structure"', "it ends inside a record"),
        ('{"a": {"structure": 1}}}', "b'}' at byte 23 stands where"),
        ('[{"structure": 1}}', "b'}' at byte 17 stands where"),
        ('[{"structure": 1}, "a": {"structure": 1}]', "stands where the name or the start"),
    ],
)
def test_what_is_no_file_of_records_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FramesError, match="/x: ") as error:
        read(text, tmp_path)
    assert message in str(error.value)


def test_a_missing_brace_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_records, "CHUNK", 1000)
    monkeypatch.setattr(json_records, "LARGEST_RECORD", 5000)
    text = '[{"structure": {"a": 1}' + ', {"structure": 1}' * 2000 + "]"
    with pytest.raises(FramesError, match="what begins at byte 0 does not end within"):
        read(text, tmp_path)


@pytest.mark.parametrize(
    "record",
    [
        '{"structure": 1, "energy": -1, "energy": -2}',
        '{"structure": {"sites": [{"abc": 1, "abc" : 2}]}}',
        '{"structure": NaN, "energy":-1,"energy"\n:-2}',
    ],
)
def test_a_key_given_twice_costs_the_record(record: str, tmp_path: Path) -> None:
    good = '{"structure": "a\\": 1", "energy": -1}'
    found = read(f"[{good}, {record}]", tmp_path)
    assert [type(f) for f in found] == [Record, Rejected]
    assert "is given twice, at byte 40 of the file" in found[1].reason


def test_numbers_that_are_none_are_read_as_python_writes_them(tmp_path: Path) -> None:
    (found,) = read('{"structure": [NaN, Infinity, -Infinity], "energy": -1}', tmp_path)
    np.testing.assert_array_equal(found.content["structure"], [np.nan, np.inf, -np.inf])
