"""The genuine emmet-api application on in-memory collections, behind a layer that injects faults.

POST /__documents replaces the documents: {"materials": [...], "tasks": [...]}. POST and GET /__faults: see faults.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from datetime import datetime
from typing import Any

os.environ |= {
    "MAPI_DB_VERSION": "2026.10.1",
    "MAPI_DB_NAME_SUFFIX": "blue",
    "MAPI_ACCESS_CONTROLLED_BATCH_IDS": "gnome_r2scan_statics",
}  # emmet-api reads them when it is imported

import uvicorn
from atlas import Collection
from emmet.api.core.api import MAPI
from emmet.api.resource.utils import CollectionWithKey
from emmet.api.routes.materials.materials.resources import blessed_tasks_resource, materials_resource
from emmet.api.routes.materials.summary.resources import summary_resource
from emmet.api.routes.materials.tasks.resources import task_resource
from faults import PATH, Faults
from process import announce

COLLECTIONS = {name: Collection(name) for name in ("materials", "tasks", "summary")}
FAULTS = Faults()
MATERIALS = CollectionWithKey(COLLECTIONS["materials"])
INNER = MAPI(
    resources={
        "materials": [
            blessed_tasks_resource(MATERIALS),
            task_resource(CollectionWithKey(COLLECTIONS["tasks"], "task_id")),
            summary_resource(CollectionWithKey(COLLECTIONS["summary"])),
            materials_resource(MATERIALS),
        ]
    }
).app


def _dates(node: Any) -> Any:
    """Return JSON with {"$date": iso} turned into dates."""
    if isinstance(node, dict):
        if set(node) == {"$date"}:
            return datetime.fromisoformat(node["$date"])
        return {key: _dates(value) for key, value in node.items()}
    return [_dates(value) for value in node] if isinstance(node, list) else node


async def _body(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _answer(send: Any, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    head = {"content-type": "application/json", **(headers or {})}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(key.lower().encode(), str(value).encode()) for key, value in head.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def _true_answer(scope: Any, receive: Any) -> tuple[int, bytes]:
    """Return what emmet-api answers, uncompressed."""
    status, parts = 0, list[bytes]()

    async def collect(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)
        parts.append(message.get("body", b""))

    head = [entry for entry in scope["headers"] if entry[0] != b"accept-encoding"]
    await INNER({**scope, "headers": head}, receive, collect)
    return status, b"".join(parts)


async def _faulty(fault: dict[str, Any], scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(fault.get("delay", 0))
    if "truncate" in fault or "keep" in fault:
        status, body = await _true_answer(scope, receive)
        if "keep" in fault:
            content = json.loads(body)
            content["data"] = content["data"][: fault["keep"]]
            body = json.dumps(content).encode()
        await _answer(send, status, body[: fault.get("truncate")])
    elif "status" in fault:
        body = fault.get("body", {"detail": "injected fault"})
        text = body if isinstance(body, str) else json.dumps(body)
        await _answer(send, fault["status"], text.encode(), fault.get("headers"))
    else:
        await INNER(scope, receive, send)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve the control paths, faults, or the genuine application."""
    if scope["type"] != "http":
        await INNER(scope, receive, send)
        return
    path = scope["path"]
    if path == "/__documents":
        for name, documents in json.loads(await _body(receive)).items():
            COLLECTIONS[name].replace(_dates(documents))
        await _answer(send, 200, b"{}")
    elif path == PATH:
        if scope["method"] == "POST":
            FAULTS.order(await _body(receive))
        await _answer(send, 200, FAULTS.report())
    else:
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        fault = FAULTS.next(path, scope["query_string"].decode(), headers)
        await (_faulty(fault, scope, receive, send) if fault else INNER(scope, receive, send))


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    announce(listener.getsockname()[1])
    uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off")).run(sockets=[listener])
