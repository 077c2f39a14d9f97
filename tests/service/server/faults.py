"""Faults that a test orders from a server, consumed in order, and the log of what was asked.

A fault is a dictionary: `match` (part of the path), `times` (1), `after` (0: requests to let pass first), and what
happens: `status` with `headers` and `body`; `truncate` (bytes of the true answer that are sent); `keep` (documents of
the true answer that are kept; its count is not corrected); `delay` (seconds before the answer).
"""

from __future__ import annotations

import json
import threading
from typing import Any

PATH = "/__faults"


class Faults:
    """The plan of a server."""

    def __init__(self) -> None:
        self.plan: list[dict[str, Any]] = []
        self.log: list[dict[str, Any]] = []
        self.lock = threading.Lock()

    def order(self, body: bytes) -> None:
        """Replace the plan and begin a new log."""
        with self.lock:
            self.plan, self.log = json.loads(body or b"[]"), []

    def report(self) -> bytes:
        """Return the rest of the plan and the log as JSON."""
        with self.lock:
            return json.dumps({"plan": self.plan, "log": self.log}).encode()

    def next(self, path: str, query: str, headers: dict[str, str]) -> dict[str, Any]:
        """Return the fault of a request, {} for none, and log the request."""
        with self.lock:
            found: dict[str, Any] = {}
            for fault in self.plan:
                if fault["match"] not in path or fault.get("times", 1) < 1:
                    continue
                if fault.get("after", 0) > 0:
                    fault["after"] -= 1
                else:
                    fault["times"] = fault.get("times", 1) - 1
                    found = fault
                break
            self.log.append({"path": path, "query": query, "headers": headers, "fault": found.get("status")})
            return dict(found)
