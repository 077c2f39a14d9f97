from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from emmet.core.mpid import AlphaID
from hypothesis import given
from hypothesis import strategies as st
from tenacity import RetryCallState

from uprung.sources.materials_project.entries import in_document, wanted_entries
from uprung.sources.materials_project.ids import LAST_LEGACY, parse, spell
from uprung.sources.materials_project.parts import DownloadError, Journal, only_one, part_name, write_part
from uprung.sources.materials_project.service import BlockedError, Patience, persistently, redacted, within

BATCH = pa.RecordBatch.from_pylist([{"x": 1}, {"x": 2}])


@given(st.integers(0, 10**9))
def test_identifiers_are_those_of_the_materials_project(number):
    for spelled in (str(AlphaID(number, padlen=8)), str(AlphaID(number, padlen=8, prefix="mp")), f"mp-{number}"):
        assert parse(spelled)[1] == number == int(AlphaID(spelled))
    assert parse(spell(number)) == ("mp", number)


def test_legacy_numbers_are_written_with_digits():
    assert spell(149) == "mp-149"
    assert spell(LAST_LEGACY + 1) == "mp-hilze"
    assert parse("mvc-123") == ("mvc", 123)


@pytest.mark.parametrize("name", ["", "mp-", "mp-12a", "mp_12", "1.5", "mp-ABC"])
def test_what_is_no_identifier_is_refused(name):
    with pytest.raises(ValueError, match="no identifier"):
        parse(name)


def finished(folder):
    journal = Journal(folder)
    name = part_name("tasks", "a unit")
    journal.record("a unit", {"file": name, **write_part(folder / name, BATCH.schema, [BATCH])})
    return journal


def test_parts_are_found_again(tmp_path):
    finished(tmp_path)
    entry = Journal(tmp_path).finished("a unit")
    assert entry["rows"] == 2
    assert pq.read_table(tmp_path / entry["file"]).to_pylist() == [{"x": 1}, {"x": 2}]
    assert Journal(tmp_path).finished("another") is None
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_changed_or_missing_part_counts_as_not_there(tmp_path):
    entry = finished(tmp_path).entries["a unit"]
    part = tmp_path / entry["file"]
    part.write_bytes(part.read_bytes() + b" ")
    assert Journal(tmp_path).finished("a unit") is None
    part.unlink()
    assert Journal(tmp_path).finished("a unit") is None


def test_a_part_that_fails_leaves_nothing_under_its_name(tmp_path):
    def broken():
        yield BATCH
        raise OSError("connection lost")

    with pytest.raises(OSError, match="connection lost"):
        write_part(tmp_path / "part.parquet", BATCH.schema, broken())
    assert not (tmp_path / "part.parquet").exists()


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_line_that_was_cut_off_is_dropped_for_good(tmp_path, cut):
    journal = finished(tmp_path)
    journal.record("b unit", {"file": "b", "sha256": ""})
    journal.path.write_bytes(journal.path.read_bytes()[:-cut])
    again = Journal(tmp_path)
    assert list(again.entries) == ["a unit"]
    again.record("c unit", {"file": "c", "sha256": ""})
    assert list(Journal(tmp_path).entries) == ["a unit", "c unit"]
    assert len(again.path.read_text().splitlines()) == 2


def test_a_folder_belongs_to_one_process(tmp_path):
    with only_one(tmp_path), pytest.raises(DownloadError, match="another download"), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass


def failing(times, error):
    def action():
        left.append(1)
        if len(left) <= times:
            raise error
        return "done"

    left: list[int] = []
    return action, left


QUICK = Patience(attempts=4, first=0.001, longest=0.002, deadline=0.2)


@pytest.mark.parametrize("error", [OSError("reset"), ValueError("bad JSON"), KeyError("data"), StopIteration()])
def test_what_may_pass_is_repeated(error):
    action, calls = failing(3, error)
    assert persistently(action, "it", QUICK) == "done"
    assert len(calls) == 4


def test_an_interrupt_is_not_repeated():
    action, calls = failing(1, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        persistently(action, "it", QUICK)
    assert len(calls) == 1


def test_every_repetition_is_preceded_by_a_question():
    action, calls = failing(2, OSError("reset"))
    before, asked = failing(0, OSError())
    assert persistently(action, "it", QUICK, before) == "done"
    assert (len(calls), len(asked)) == (3, 2)


def test_repetition_has_an_end():
    action, calls = failing(99, OSError("reset by peer"))
    with pytest.raises(DownloadError, match="it: failed 4 times, last with OSError: reset by peer"):
        persistently(action, "it", QUICK)
    assert len(calls) == 4


@pytest.mark.parametrize(
    ("text", "kind"),
    [("status code 403", DownloadError), ("status code 400", DownloadError), ("IP blocked", BlockedError)],
)
def test_what_does_not_pass_is_not_repeated(text, kind):
    action, calls = failing(99, RuntimeError(text))
    with pytest.raises(kind):
        persistently(action, "it", QUICK)
    assert len(calls) == 1


def test_a_call_without_answer_is_given_up():
    import time

    with pytest.raises(TimeoutError):
        within(0.05, lambda: time.sleep(5))


@given(st.integers(0, 50))
def test_pauses_grow_to_a_limit_and_are_never_the_same(attempt):
    pause = Patience(first=1.0, longest=60.0).pauses()
    state = RetryCallState(None, None, (), {})
    state.attempt_number = attempt + 1
    whole = min(60.0, 2.0**attempt)
    pauses = {pause(state) for _ in range(20)}
    assert all(whole / 2 <= pause <= whole for pause in pauses)
    assert len(pauses) > 1


def test_the_key_is_taken_out_of_texts(monkeypatch):
    monkeypatch.setenv("MP_API_KEY", "k" * 32)
    assert redacted(f"GET ?key={'k' * 32}&x") == "GET ?key=***&x"
    monkeypatch.setenv("MP_API_KEY", "")
    assert redacted("nothing") == "nothing"


def document(**changes):
    entry = {"energy": -8.0, "composition": [("Na", 1.0), ("Cl", 1.0)], "parameters": {"hubbards": [("Na", 0.0)]}}
    return {
        "material_id": "mp-aaaaaaft",
        "deprecated": False,
        "run_types": [("aaaaaaft", "GGA"), ("aaaaaafu", "r2SCAN"), ("aaaaaafv", "SCAN")],
        "entries": {"GGA": entry, "GGA_U": None, "R2SCAN": None},
        **changes,
    }


def test_entries_of_a_document():
    assert in_document(document()) == {"GGA": {"energy": -8.0, "n_atoms": 2, "hubbards": {}}}
    assert in_document(document(entries=None)) == {}


def test_entries_are_asked_for_where_the_table_lacks_them():
    rows = [document(), document(material_id="mp-b", entries=None), document(material_id="mp-c", deprecated=True)]
    kinds = pa.schema([("material_id", pa.string()), ("deprecated", pa.bool_())])
    kinds = kinds.append(pa.field("run_types", pa.map_(pa.string(), pa.string())))
    entry = pa.struct(
        [
            ("energy", pa.float64()),
            ("composition", pa.map_(pa.string(), pa.float64())),
            ("parameters", pa.struct([("hubbards", pa.map_(pa.string(), pa.float64()))])),
        ]
    )
    kinds = kinds.append(pa.field("entries", pa.struct([(key, entry) for key in ("GGA", "GGA_U", "R2SCAN")])))
    table = pa.Table.from_pylist(rows, schema=kinds)
    assert wanted_entries([table]) == {"GGA": [1], "GGA+U": [], "r2SCAN": [1, 149]}
