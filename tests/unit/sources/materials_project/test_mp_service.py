"""The key stays with the service: answers that send requests to another server are refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

import pytest

pytest.importorskip("mp_api")
from uprung.sources.materials_project.parts import DownloadError
from uprung.sources.materials_project.service import Patience, Service

KEY = "k" * 32
ENTRY = {"energy": -1.0, "composition": {"Fe": 1.0}, "parameters": {}}
ANSWER = {
    "data": [{"material_id": "mp-1", "entries": {"R2SCAN": ENTRY}}],
    "meta": {"total_doc": 1},
    "db_version": "2026.1.1",
    "access_controlled_batch_ids": [],
}


class Quick(ThreadingHTTPServer):
    """Does not look its own name up, which takes seconds without a network."""

    server_bind = TCPServer.server_bind


@contextmanager
def server(
    location: Callable[[str], str | None], status: int = 307
) -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """Serve documents, or send a path on to where `location` says; yield the address and the requests."""
    seen = list[tuple[str, dict[str, str]]]()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path.partition("?")[0], {key.lower(): value for key, value in self.headers.items()}))
            target = location(self.path)
            body = b"" if target else json.dumps(ANSWER).encode()
            self.send_response(status if target else 200)
            if target:
                self.send_header("Location", target)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    running = Quick(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{running.server_address[1]}", seen
    running.shutdown()
    running.server_close()


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MP_API_KEY", KEY)


def service(monkeypatch: pytest.MonkeyPatch, address: str) -> Service:
    monkeypatch.setenv("MP_API_ENDPOINT", f"{address}/")
    return Service(Patience(attempts=2, first=0.01, longest=0.01, deadline=20.0))


ASKS: dict[str, Callable[[Service], object]] = {
    "heartbeat": lambda service: service.heartbeat(),
    "entries": lambda service: service.entries("r2SCAN", [1]),
}


def paths(ask: str, path: str) -> bool:
    """Return whether a path is one that the test sends on: the client itself asks for a heartbeat before entries."""
    return (ask == "heartbeat") == path.endswith("/heartbeat")


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_server_is_refused(monkeypatch: pytest.MonkeyPatch, ask: str, status: int) -> None:
    with (
        server(lambda path: None) as (there, received),
        server(lambda path: there + path if paths(ask, path) else None, status) as (here, asked),
    ):
        with pytest.raises(DownloadError, match=f"{here} sends requests on to {there}") as caught:
            ASKS[ask](service(monkeypatch, here))
        assert received == []
        assert sum(paths(ask, path) for path, _ in asked) == 1  # asking again makes no sense
    assert KEY not in str(caught.value)


def test_the_heartbeat_of_the_client_is_not_sent_on_either(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(lambda path: None) as (there, received), server(lambda path: there + path) as (here, asked):
        with pytest.raises(DownloadError, match=f"{here} sends requests on to {there}"):
            service(monkeypatch, here).entries("r2SCAN", [1])
        assert (received, len(asked)) == ([], 1)


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("http:", "https:", False),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "localhost", False),
        ("http:", "", True),  # the same server, written otherwise
        ("http://", "HTTP://user:word@", True),
    ],
)
def test_another_scheme_or_host_is_refused(
    monkeypatch: pytest.MonkeyPatch, ask: str, old: str, new: str, same: bool
) -> None:
    targets: list[str] = []
    once = lambda path: targets.pop() + path if targets and paths(ask, path) else None  # noqa: E731
    with server(once) as (here, asked):
        targets.append(here.replace(old, new))
        if same:
            ASKS[ask](service(monkeypatch, here))
        else:
            with pytest.raises(DownloadError, match=r"\(allowed: the same scheme, host and port\)"):
                ASKS[ask](service(monkeypatch, here))
        assert not targets
        assert sum(paths(ask, path) for path, _ in asked) == 1 + same


def test_a_redirect_within_the_service_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = lambda path: None if path.startswith("/new") else f"/new{path}"  # noqa: E731
    with server(moved) as (here, asked):
        assert service(monkeypatch, here).heartbeat()["db_version"] == "2026.1.1"
        assert all("x-api-key" not in headers for _, headers in asked)
        found, without = service(monkeypatch, here).entries("r2SCAN", [1])
        assert (found[1]["energy"], without) == (-1.0, [])
        assert [headers.get("x-api-key") for path, headers in asked if not paths("heartbeat", path)] == [KEY, KEY]
