from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from factories import make_frame

from uprung.frames import parts
from uprung.frames.intake import write_frames
from uprung.frames.schema import Frame
from uprung.frames.table import read_frames
from uprung.structures.duplicates import leave_out_duplicates


def table(folder: Path, *sources: Sequence[Frame]) -> dict:
    """Write frames as a fidelity, take its copies out, and return its manifest, after reading it back."""
    write_frames([(frames, frozenset()) for frames in sources], folder, functional="PBE")
    facts = leave_out_duplicates(folder / "manifest.json")
    assert facts == json.loads((folder / "manifest.json").read_text())
    frames = read_frames(folder / "manifest.json")  # checks the rows of every part
    assert facts["read"] == facts["written"] + len(facts["rejected"])
    assert facts["written"] == len(frames) == facts["labels"]["energy"]
    return {**facts, "ids": frames.strings("frame_id")}


def moved(frame: Frame, name: str, **changes: object) -> Frame:
    """Return a frame as another file has it: other images, another origin, eight digits."""
    frac = np.round(frame.frac + np.array([[0, 0, 0], [0, 1, -2]]) + 0.25, 8)
    return replace(frame, frame_id=name, frac=frac, **changes)


def test_the_same_run_in_two_folders_is_one_frame(tmp_path: Path) -> None:
    runs = [make_frame(f"run-{k}", bond=2 + 0.1 * k, energy=-2.0 - k, Z=(14, 8)) for k in range(4)]
    again = [moved(frame, f"copy-{frame.frame_id}", energy=frame.energy + 1e-9) for frame in runs[1:3]]
    facts = table(tmp_path, runs, [*again, make_frame("new", bond=4.0)])
    assert facts["ids"] == ["run-0", "run-1", "run-2", "run-3", "new"]
    reason = "same structure and energy as an earlier frame"
    assert facts["rejected"] == [{"frame_id": f"copy-run-{k}", "reason": reason, "kept": f"run-{k}"} for k in (1, 2)]
    assert facts["elements"] == {"8": 4, "14": 5}
    assert facts["labels"]["forces"] == 5
    assert facts["same_geometry_other_energy"]["geometries"] == 0


def test_one_geometry_with_two_energies_is_kept_and_told(tmp_path: Path) -> None:
    frames = [make_frame("a", energy=-2.0), make_frame("b", energy=-2.1), make_frame("c", bond=3.0)]
    facts = table(tmp_path, [*frames, moved(frames[1], "d")])
    assert facts["ids"] == ["a", "b", "c"]
    assert facts["rejected"][0]["kept"] == "b"
    assert facts["same_geometry_other_energy"] == {
        "geometries": 1,
        "frames": 2,
        "more_than_ev_per_atom": 1e-3,
        "frame_ids": [["a", "b"]],
    }


@pytest.mark.parametrize(
    "other",
    [
        make_frame("b", energy=-2.00001),  # converged a little differently
        make_frame("b", energy=-2.0, bond=2.301),  # the next step of a relaxation
        make_frame("b", energy=-2.0, Z=(14, 6)),
        make_frame("b", energy=-2.0, frac=np.array([[0, 0, 0.1], [0, 0, 0.1 + 2.3 / 15]])),  # turned
        make_frame("b", energy=-2.0, stress_gpa=np.diag([1.0, 2, 3])),  # has a label that the first one lacks
    ],
    ids=["energy", "geometry", "species", "orientation", "labels"],
)
def test_what_is_no_copy_stays(tmp_path: Path, other: Frame) -> None:
    facts = table(tmp_path, [make_frame("a", energy=-2.0)], [other])
    assert facts["ids"] == ["a", "b"]
    assert facts["same_geometry_other_energy"]["geometries"] == 0


def test_copies_leave_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts without a copy stay as they are; one of nothing but copies becomes empty."""
    monkeypatch.setattr(parts, "ROWS_PER_GROUP", 2)
    monkeypatch.setattr(parts, "ROWS_PER_PART", 4)
    runs = [make_frame(f"{k}", bond=2 + 0.1 * k, forces=np.full((2, 3), 1.0 + k)) for k in range(8)]
    copies = [replace(frame, frame_id=f"{frame.frame_id}-again") for frame in runs[:5]]
    write_frames([([*runs, *copies], frozenset())], tmp_path, functional="PBE")
    before = json.loads((tmp_path / "manifest.json").read_text())["parts"]
    facts = leave_out_duplicates(tmp_path / "manifest.json")
    assert [part["rows"] for part in facts["parts"]] == [4, 4, 0, 0]
    assert facts["parts"][:2] == before[:2]
    found = read_frames(tmp_path / "manifest.json")
    assert found.strings("frame_id") == [f"{k}" for k in range(8)]
    np.testing.assert_array_equal(found.flat("forces", 3)[::6], 1 + np.arange(8))
