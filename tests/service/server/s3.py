"""An S3 server (moto), behind a layer that injects faults. Tests write their tables to it as to any S3."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}

from faults import PATH, Faults
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from process import announce
from werkzeug.serving import WSGIRequestHandler, make_server

FAULTS = Faults()
INNER = DomainDispatcherApplication(create_backend_app)
Start = Callable[..., Any]


def app(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """Serve the control path, faults, or moto."""
    path = unquote(environ.get("PATH_INFO", ""))
    if path == PATH:
        if environ["REQUEST_METHOD"] == "POST":
            FAULTS.order(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        body = FAULTS.report()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]
    fault = FAULTS.next(f"{environ['REQUEST_METHOD']} {path}", environ.get("QUERY_STRING", ""), {})
    time.sleep(fault.get("delay", 0))
    if "status" in fault:
        body = b"<Error><Code>InjectedFault</Code><Message>injected fault</Message></Error>"
        start_response(f"{fault['status']} Injected", [("Content-Type", "application/xml")])
        return [body]
    return INNER(environ, start_response)


class Quiet(WSGIRequestHandler):
    """A handler without a line per request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    announce(server.server_port)
    server.serve_forever()
