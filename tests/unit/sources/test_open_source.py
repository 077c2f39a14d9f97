from __future__ import annotations

import json
from pathlib import Path

import pytest
from layouts import crystal, json_record, json_text
from pydantic import ValidationError

from uprung.config.data import Source
from uprung.config.formats import FORMATS
from uprung.frames.intake import write_frames
from uprung.frames.schema import FramesError
from uprung.sources import READERS, open_source

FILE = Path("some/file")


def test_the_study_file_and_the_library_know_the_same_formats() -> None:
    assert FORMATS.keys() == READERS.keys()


def test_a_label_scale_is_asked_for_where_files_do_not_say_theirs() -> None:
    for name in READERS:
        for scale in (None, "a scale"):
            wrong = FORMATS[name].label_scale == ("needed" if scale is None else "own")
            entry = {"format": name, "file": "x", **({} if scale is None else {"label_scale": scale})}
            if not wrong:
                open_source(name, FILE, "PBE", scale)
                Source.model_validate(entry)
                continue
            with pytest.raises(ValidationError, match="label_scale: format"):
                open_source(name, FILE, "PBE", scale)
            with pytest.raises(ValidationError, match="label_scale: format"):
                Source.model_validate(entry)


def test_an_unknown_format_is_told_with_what_is_allowed() -> None:
    with pytest.raises(ValueError, match=r"(?s)format.*Input should be 'diatomics', .*'mptrj', "):
        open_source("mptraj", FILE, "PBE")


def test_the_manifest_says_what_the_work_test_found(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(json_text("mptrj", {"a": json_record("mptrj", "a", crystal())}))
    source = open_source("mptrj", tmp_path / "x", "PBE")
    manifest = write_frames(
        [(source.records(), frozenset())], tmp_path / "out", functional="PBE", about=lambda: {"r": [source.facts()]}
    )
    (facts,) = json.loads((tmp_path / "out" / "manifest.json").read_text())["r"]
    assert (facts["file"], facts["format"], facts["work_test"]["forces"]["verdict"]) == ("x", "mptrj", "unchecked")
    assert "0 pairs of successive frames" in facts["work_test"]["stress"]["why"]
    assert manifest["label_scale"].startswith("VASP PBE_52")


def test_two_sources_of_different_scales_are_refused(tmp_path: Path) -> None:
    for name, functional in (("mptrj", "PBE"), ("matpes", "PBE")):
        record = json_record(name, name, crystal())
        record |= {"functional": functional}
        (tmp_path / name).write_text(json_text(name, {name: record}))
    sources = [(open_source(name, tmp_path / name, "PBE").records(), frozenset()) for name in ("mptrj", "matpes")]
    with pytest.raises(FramesError, match="energies of two scales never share one fidelity"):
        write_frames(sources, tmp_path / "out", functional="PBE")
