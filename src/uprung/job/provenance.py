"""What a result hangs on: the code of the modules behind it, the versions and the machine that ran it."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import os
import platform
from functools import cache
from pathlib import Path
from typing import Any

from uprung import __version__

ROOT = Path(__file__).parents[1]
PACKAGES = ("torch", "lightning", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy")


def code_digest(*modules: str) -> str:
    """Return a digest of library modules and of all that they import from uprung.

    Comments, docstrings, layout and the descriptions of keys do not count, so that only a change of what is computed
    is a change.

    Args:
        modules: dotted names, e.g. `uprung.datasets.splits`.
    """
    names = sorted(set().union(*(closure(name) for name in modules)))
    return hashlib.sha256("".join(_digest(name) for name in names).encode()).hexdigest()[:16]


@cache
def closure(module: str) -> frozenset[str]:
    """Return a module and every uprung module that it imports, directly or not."""
    found, waiting = set[str](), [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _imports(name)
    return frozenset(found)


def _path(module: str) -> Path:
    base = ROOT.joinpath(*module.split(".")[1:])
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text())


@cache
def _imports(module: str) -> tuple[str, ...]:
    names = []
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("uprung"):
            base = node.module or ""
            names += [f"{base}.{a.name}" if _path(f"{base}.{a.name}").exists() else base for a in node.names]
        elif isinstance(node, ast.Import):
            names += [a.name for a in node.names if a.name.startswith("uprung.")]
    return tuple(sorted(set(names)))


class _WithoutWords(ast.NodeTransformer):
    """Drops what people read and no result hangs on: docstrings, and the descriptions of a study file's keys."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            del node.body[0]
        if isinstance(node, ast.Call):
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "description"]
        return super().generic_visit(node)


@cache
def _digest(module: str) -> str:
    tree = _WithoutWords().visit(ast.parse(_path(module).read_text()))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


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
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    return {"processor": model, "cores": os.cpu_count() or 0, "system": f"{platform.system()} {platform.machine()}"}
