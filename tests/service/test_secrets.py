"""The key to the Materials Project is written nowhere, whatever becomes of a run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from servers import Service
from world import World, simple_world

sys.path.append(str(Path(__file__).parents[1] / "workflow"))
from workplace import Workplace, checkout

STUDY = "config/pulled.yaml"
KEY = "recognisable" + "0123456789" * 2
OTHER_KEY = "ofthesettings" + "9876543210" * 2  # pymatgen's own settings file, which uprung does not read
MANIFEST = "results/pulled/download/manifest.json"


@pytest.fixture
def world() -> World:
    """Return a world whose main entries have to be asked for, with the key."""
    world = simple_world(10)
    for material in world.materials:
        material.entries_in_table = False
    return world


@pytest.fixture
def place(tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """Return a copy of the repository with a study on pulled fidelities, and keys in environment and settings."""
    place = checkout(tmp_path / "fresh")
    paper = yaml.safe_load((place.folder / "config/paper.yaml").read_text())
    study = {**paper, "study": "pulled", "sizes": ["50%"], "seeds": [5]}
    (place.folder / STUDY).write_text(yaml.safe_dump(study))
    settings = tmp_path / "pmgrc.yaml"
    settings.write_text(f"PMG_MAPI_KEY: {OTHER_KEY}\n")
    monkeypatch.setenv("PMG_CONFIG_FILE", str(settings))
    monkeypatch.setenv("MP_API_KEY", KEY)
    return place


def written(place: Workplace, told: str) -> list[str]:
    """Return where one of the keys is: files of the workplace, or what was printed."""
    files = [path for path in place.folder.rglob("*") if path.is_file()]
    assert any(".snakemake" in path.parts for path in files)
    keys = [key.encode() for key in (KEY, OTHER_KEY)]
    found = [str(path) for path in files if any(key in path.read_bytes() for key in keys)]
    return found + ["the terminal"] * any(key in told for key in (KEY, OTHER_KEY))


def sent(service: Service) -> set[str]:
    """Return the keys with which the service was asked; none is in an address."""
    log = service.api.log()
    assert not any(key in entry["path"] + entry["query"] for entry in log for key in (KEY, OTHER_KEY))
    return {entry["headers"].get("x-api-key", "") for entry in log} - {""}


def test_a_run_that_works(service: Service, place: Workplace) -> None:
    targets = [f"results/pulled/frames/{name}/manifest.json" for name in ("gga", "r2scan")]
    options = ("--cores", "1", "--verbose", "--printshellcmds", "--show-failed-logs")
    done = place.snakemake(*targets, *options, study=STUDY, timeout=300)
    assert done.returncode == 0, done.stdout
    assert list((place.folder / "results/pulled/benchmarks").rglob("*.tsv"))
    assert sent(service) == {KEY}
    assert written(place, done.stdout) == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_run_that_the_service_refuses_and_repeats_the_key_to(service: Service, place: Workplace, status: int) -> None:
    body = {"detail": f"no user has the key {KEY}", "headers": {"x-api-key": KEY}}
    service.api.order({"match": "/blessed_tasks/", "times": 10_000, "status": status, "body": body})
    options = ("--cores", "1", "--verbose", "--printshellcmds", "--show-failed-logs")
    done = place.snakemake(MANIFEST, *options, study=STUDY, timeout=300)
    assert done.returncode != 0
    assert "uprung: DownloadError: main entries" in done.stdout
    assert status != 403 or "***" in done.stdout  # of other answers the client keeps the words to itself
    assert sent(service) == {KEY}
    assert written(place, done.stdout) == []


def test_classes_that_an_answer_names_are_not_built(
    service: Service, place: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer names a class of a module that would leave a file when imported."""
    marker = tmp_path / "ran"
    (tmp_path / "strangers.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\nclass Any: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from uprung.sources.materials_project.service import Patience
    from uprung.sources.materials_project.service import Service as Client

    evil = {"@module": "strangers", "@class": "Any", "@version": "1"}
    called = {"@module": "strangers", "@callable": "Any", "@bound": None}
    document = {"material_id": "mp-3000000", "entries": {"GGA": evil | {"energy": evil, "composition": called}}}
    body = {"data": [document], "meta": {"total_doc": 1}, **evil}
    service.api.order({"match": "/blessed_tasks/", "times": 100, "status": 200, "body": body})
    patience = Patience(attempts=2, first=0.01, longest=0.01, deadline=20.0)
    found, missing = Client(patience).entries("GGA", [3_000_000])
    assert (found, missing) == ({}, [3_000_000])
    assert not marker.exists()
    assert "strangers" not in sys.modules
