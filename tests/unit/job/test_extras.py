"""Packages that are missing are told before the first job, in one line that says how they are installed."""

from __future__ import annotations

import pytest

from uprung.job import extras
from uprung.models.registry import CARDS


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)


@pytest.mark.usefixtures("bare")
def test_what_jobs_need_is_told_once_and_with_its_command() -> None:
    told = extras.lacking(["download", "downloaded_frames", "train_run"], ["matgl", "matgl", "sevenn"])
    assert told == (
        "the extra `pull` is not installed (the Materials Project): python -m pip install --editable '.[pull]', or "
        "snakemake --sdm conda; the extra `matgl` is not installed (M3GNet and TensorNet): python -m pip install "
        "--editable '.[matgl]'; the extra `sevennet` is not installed (SevenNet): python -m pip install --editable "
        "'.[sevennet]'"
    )
    assert "make gpaw" in extras.lacking(["label_snapshots"], [])
    assert extras.lacking(["frames", "physics_model", "train_run"], [CARDS["chgnet"].packages[0]]) == ""


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if not card.environment and name != "chgnet"])
def test_every_architecture_with_an_extra_is_known_by_its_first_package(name: str) -> None:
    assert "is not installed" in extras.lacking([], [CARDS[name].packages[0]])


def test_what_is_installed_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: object())
    assert extras.lacking(["download"], ["matgl"]) == ""
