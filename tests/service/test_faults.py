"""Faults of the service and of the store: the pull ends complete, or stops with a reason and goes on later."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from outcome import account, pull_into, pulled, select
from servers import Service
from world import World, calculation, simple_world

from uprung.job.sealed import unseal
from uprung.sources.materials_project.parts import DownloadError
from uprung.sources.materials_project.service import BlockedError

KEY = "k" * 32
ASKED, HEARTBEAT = "/blessed_tasks/", "/heartbeat"
BLOCK = {"error": "Your IP has been (temporarily) blocked due to excessive use", "version": "blocked"}


@pytest.fixture
def world() -> World:
    """Return a world whose main entries have to be asked for."""
    world = simple_world()
    for material in world.materials:
        material.entries_in_table = False
    return world


def complete(world: World, folder: Path) -> None:
    """Pull both functionals and hold them against the world."""
    for functional, n in (("PBE", 40), ("r2SCAN", 32)):
        outcome = pulled(folder, functional)
        account(world, outcome)
        assert len(outcome.frames) == n


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("path", [ASKED, HEARTBEAT])
def test_passing_server_errors(service: Service, world: World, tmp_path: Path, status: int, path: str) -> None:
    service.api.order({"match": path, "times": 3, "status": status})
    complete(world, tmp_path)


def test_long_series_of_429_is_sat_out(service: Service, world: World, tmp_path: Path) -> None:
    service.api.order({"match": ASKED, "times": 9, "status": 429})
    complete(world, tmp_path)


def test_errors_without_end_stop_the_pull_and_keep_what_there_is(
    service: Service, world: World, tmp_path: Path
) -> None:
    service.api.order({"match": ASKED, "times": 10_000, "status": 503})
    with pytest.raises(DownloadError, match=r"main entries, GGA.*failed 5 times, last with .*503.*run again"):
        pull_into(tmp_path)
    assert not (tmp_path / "manifest.json").exists()
    service.api.order()
    service.s3.order()
    complete(world, tmp_path)
    assert not any(".parquet" in entry["path"] for entry in service.s3.log())  # what was there was not fetched again


@pytest.mark.parametrize("path", [ASKED, HEARTBEAT])
@pytest.mark.parametrize("status", [200, 403, 429])
def test_a_block_stops_the_pull_at_once(service: Service, tmp_path: Path, path: str, status: int) -> None:
    service.api.order({"match": path, "times": 10_000, "status": status, "body": BLOCK})
    if path == ASKED:  # the client's own retries hide the body of a 429; the heartbeat of a blocked address tells
        service.api.order(
            {"match": path, "times": 10_000, "status": status, "body": BLOCK},
            {"match": HEARTBEAT, "after": 1, "times": 10_000, "status": status, "body": BLOCK},
        )
    with pytest.raises(DownloadError, match=r"blocked|403"):
        pull_into(tmp_path)
    assert len([e for e in service.api.log() if e["path"] in (HEARTBEAT, "/materials/core/blessed_tasks/")]) <= 8


def test_a_refused_key_stops_the_pull_at_once(service: Service, tmp_path: Path) -> None:
    service.api.order({"match": ASKED, "times": 10_000, "status": 403, "body": {"detail": "no such key"}})
    with pytest.raises(DownloadError, match="403"):
        pull_into(tmp_path)
    # the client asks for several parts at once; a request that is tried again is five
    assert len([entry for entry in service.api.log() if ASKED in entry["path"]]) < 5


def test_answers_that_do_not_come(service: Service, world: World, tmp_path: Path) -> None:
    service.api.order({"match": ASKED, "delay": 8}, {"match": HEARTBEAT, "delay": 8})
    complete(world, tmp_path)


def test_truncated_answers(service: Service, world: World, tmp_path: Path) -> None:
    service.api.order({"match": ASKED, "times": 2, "truncate": 200}, {"match": HEARTBEAT, "times": 2, "truncate": 9})
    complete(world, tmp_path)


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_short_pages_are_completed(service: Service, world: World, tmp_path: Path, keep: int) -> None:
    service.api.order({"match": ASKED, "times": 2, "keep": keep})
    complete(world, tmp_path)


def test_documents_that_never_come_are_listed(service: Service, world: World, tmp_path: Path) -> None:
    world.materials[3].entries_in_service = False
    service.load(world)
    outcome = pulled(tmp_path)
    account(world, outcome)
    assert outcome.reasons("no main entry") == {("mp-3000030", None): "the material has no GGA entry to compare with"}
    missing = json.loads((tmp_path / "manifest.json").read_text())["entries"]["missing"]
    assert missing == [
        {"run_type": "GGA", "material": 3_000_030},
        {"run_type": "r2SCAN", "material": 3_000_031 - 1},
    ]


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_store_that_fails_for_a_while(service: Service, world: World, tmp_path: Path, status: int) -> None:
    service.s3.order({"match": "core/trajectories/run_type=r2SCAN", "times": 3, "status": status})
    complete(world, tmp_path)


def test_a_data_file_that_is_gone_is_named(service: Service, world: World, tmp_path: Path) -> None:
    key = next(key for key in service.keys("trajectories") if "r2SCAN" in key)
    service.delete("trajectories", key)
    with pytest.raises(DownloadError, match=r"table trajectories: run_type=r2SCAN/.*failed 5 times"):
        pull_into(tmp_path)


def test_a_new_version_of_a_table_does_not_mix_in(service: Service, world: World, tmp_path: Path) -> None:
    service.s3.order({"match": "core/trajectories/run_type=r2SCAN", "times": 10_000, "status": 404})
    with pytest.raises(DownloadError):
        pull_into(tmp_path)
    service.s3.order()
    later = World([], orphans=[calculation(3_200_000, 0, "r2SCAN")])
    service.write(later, "tasks", "trajectories")
    complete(world, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert {name: table["version"] for name, table in manifest["tables"].items()} == dict.fromkeys(
        manifest["tables"], 0
    )
    assert manifest["newest_at_end"] == {"materials": 0, "tasks": 1, "trajectories": 1}


def test_a_table_that_was_replaced_is_refused(service: Service, world: World, tmp_path: Path) -> None:
    service.s3.order({"match": "core/trajectories/run_type=r2SCAN", "times": 10_000, "status": 404})
    with pytest.raises(DownloadError):
        pull_into(tmp_path)
    service.load(world)  # the same content, other tables
    with pytest.raises(DownloadError, match="it was replaced since this download began"):
        pull_into(tmp_path)


def test_another_release_in_the_same_folder_is_refused(service: Service, tmp_path: Path) -> None:
    pull_into(tmp_path)
    with pytest.raises(DownloadError, match=r"began with release 2026.10.1, not 2027.1.1"):
        pull_into(tmp_path, db_version="2027.1.1")


PULL = """
import sys
from pathlib import Path
from uprung.sources.materials_project.download import download
download(Path(sys.argv[1]) / "state", Path(sys.argv[1]) / "manifest.json")
"""


def start_pull(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PULL, str(folder)], env=os.environ | {"OMP_NUM_THREADS": "1"})


def journal(folder: Path) -> list[dict[str, Any]]:
    path = folder / "state/journal.jsonl"
    return [unseal(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.parametrize("match", ["core/trajectories/run_type=r2SCAN", "core/tasks/part", ASKED])
def test_killed_in_the_middle_it_goes_on_where_it_was(
    service: Service, world: World, tmp_path: Path, match: str
) -> None:
    server = service.api if match == ASKED else service.s3
    server.order({"match": match, "times": 10_000, "delay": 60})
    process = start_pull(tmp_path)
    until(lambda: any(match in entry["path"] for entry in server.log()))
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "manifest.json").exists()
    before = journal(tmp_path)
    assert before, "nothing was finished before the kill"
    with (tmp_path / "state/journal.jsonl").open("a") as stream:
        stream.write('{"unit": "half a li')  # what a crash leaves of a line
    service.s3.order()
    service.api.order()
    complete(world, tmp_path)
    fetched = [entry["path"] for entry in service.s3.log() if ".parquet" in entry["path"]]
    for entry in before:
        assert not any(entry["unit"].split("/", 3)[3].replace("%25", "%") in path for path in fetched)
    assert journal(tmp_path)[: len(before)] == before


def test_a_finished_pull_fetches_nothing(service: Service, tmp_path: Path) -> None:
    pull_into(tmp_path)
    first, lines = (tmp_path / "manifest.json").read_text(), journal(tmp_path)
    service.s3.order()
    service.api.order()
    pull_into(tmp_path)
    assert (tmp_path / "manifest.json").read_text() == first
    assert journal(tmp_path) == lines
    assert not any(".parquet" in entry["path"] for entry in service.s3.log())
    assert {entry["path"] for entry in service.api.log()} == {HEARTBEAT}


def test_a_damaged_part_is_fetched_again(service: Service, world: World, tmp_path: Path) -> None:
    pull_into(tmp_path)
    part = tmp_path / "state" / next(e["file"] for e in journal(tmp_path) if e["file"].startswith("traj"))
    part.write_bytes(part.read_bytes()[:-20])
    complete(world, tmp_path)


def test_two_pulls_do_not_share_a_folder(service: Service, tmp_path: Path) -> None:
    service.s3.order({"match": "core/trajectories/run_type=r2SCAN", "times": 10_000, "delay": 60})
    process = start_pull(tmp_path)
    try:
        until(lambda: len(journal(tmp_path)) > 1)
        with pytest.raises(DownloadError, match="another download is writing here"):
            pull_into(tmp_path)
    finally:
        process.kill()
        process.wait()


def until(condition: Any, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def test_the_key_is_told_to_nobody_but_the_service(
    service: Service, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = "s3cr3t" + "x" * 26
    monkeypatch.setenv("MP_API_KEY", key)
    caplog.set_level(logging.DEBUG)
    service.api.order({"match": ASKED, "times": 2, "status": 500, "body": {"detail": f"bad key {key}"}})
    select_folder = tmp_path / "pull"
    pull_into(select_folder)
    select(select_folder, "PBE")
    assert any(entry["headers"].get("x-api-key") == key for entry in service.api.log())
    assert not any(key in entry["query"] + entry["path"] for entry in service.api.log())
    service.api.order({"match": ASKED, "times": 99, "status": 403, "body": {"detail": f"bad key {key}"}})
    with pytest.raises(DownloadError, match=r"bad key \*\*\*") as failure:
        pull_into(tmp_path / "again")
    assert key not in str(failure.value)
    told = [caplog.text, *(p.read_bytes().decode("latin-1") for p in tmp_path.rglob("*") if p.is_file())]
    assert not any(key in text for text in told)
    assert re.search(r"bad key \*\*\*", caplog.text)


@pytest.mark.parametrize("key", ["", "short"])
def test_a_missing_key_is_told_when_it_is_needed(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("MP_API_KEY", key)
    with pytest.raises(DownloadError, match=r"environment variable MP_API_KEY (is not set|has 5 characters, not 32)"):
        pull_into(tmp_path)


def test_a_block_is_an_error_of_its_own() -> None:
    assert issubclass(BlockedError, DownloadError)
