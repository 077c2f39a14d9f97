"""Versions of the packages and the hardware behind a result."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from uprung.version import __version__

PACKAGES = ("torch", "lightning", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy")


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python, of the packages that decide all numbers, and of more packages."""
    found = {"uprung": __version__, "python": platform.python_version()}
    for package in (*packages, *PACKAGES):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def hardware() -> dict[str, Any]:
    """Return processor, core count and system; no host name."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    return {"processor": model, "cores": os.cpu_count() or 0, "system": f"{platform.system()} {platform.machine()}"}
