"""Graphs of an evaluation set hold the frames that have its own energy label."""

from __future__ import annotations

import json
import runpy
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from factories import make_frame

from uprung.frames.intake import write_frames

SCRIPT = Path(__file__).parents[3] / "scripts/build_evalset.py"


@pytest.mark.parametrize(("label", "kept"), [("energy", 1), ("energy_free", 2)])
def test_frames_with_the_energy_of_the_set_are_kept(
    label: str, kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [
        make_frame("both", energy_free=-2.0),
        make_frame("free", bond=2.4, energy=None, energy_free=-2.0),
    ]
    write_frames([(frames, frozenset())], tmp_path / "frames", functional="PBE", about={"energy_label": label})
    job = SimpleNamespace(
        input=[str(tmp_path / "frames/manifest.json")],
        output=SimpleNamespace(graphs=[str(tmp_path / "graphs/manifest.json")], left_out=str(tmp_path / "left.json")),
        params=SimpleNamespace(architectures=["chgnet"], reach=(6.0, [])),
        threads=1,
    )
    monkeypatch.setattr("uprung.job.run.job", lambda _: nullcontext())
    runpy.run_path(str(SCRIPT), init_globals={"snakemake": job})
    found = json.loads((tmp_path / "left.json").read_text())
    assert found["frames"] - len(found["left_out"]) == kept
