"""The genuine emmet-api application and an S3 server with real Delta tables, on loopback, once per test session.

They run in an environment of their own, because emmet-api and moto need many packages that no study needs:
`make service` sets it up, and without it these tests are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers import PYTHON, Service, start
from world import World, simple_world


@pytest.fixture(scope="session")
def running() -> Iterator[Service]:
    """Start both servers; they are stopped by their own process ids."""
    if not PYTHON.exists():
        pytest.skip(f"the test servers' environment is missing ({PYTHON}): make service")
    api = start("api.py")
    try:
        s3 = start("s3.py")
    except RuntimeError:
        api.stop()
        raise
    service = Service(api, s3)
    yield service
    service.stop()


@pytest.fixture
def world() -> World:
    return simple_world()


@pytest.fixture
def service(running: Service, world: World, monkeypatch: pytest.MonkeyPatch) -> Service:
    """Return the servers, loaded with the simple world, and the environment set for the client."""
    running.load(world)
    for name, value in {**running.environment, "MP_API_KEY": "k" * 32}.items():
        monkeypatch.setenv(name, value)
    return running
