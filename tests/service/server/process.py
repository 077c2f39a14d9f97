"""A server process tells its port in one line, and ends with the process that started it."""

from __future__ import annotations

import os
import sys
import threading


def announce(port: int) -> None:
    """Print the port; end this process when standard input closes, which it does when the parent is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    print(f"listening on {port}", flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads on: a full pipe would block the server


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)
