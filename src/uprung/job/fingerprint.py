"""Fingerprint of the code behind a rule: its script, and the library modules that the script imports.

It goes into the rule's params, so that a change of what is computed, and of nothing else, runs the rule again.

Every start of Snakemake needs the fingerprints of all rules, and to parse 300 files takes three seconds. What was found
in a file is therefore kept beside Python's own bytecode (`keep`, `recall`) and used while the file is the same.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from uprung.job.files import write_whole
from uprung.job.sealed import seal, unseal

ROOT = Path(__file__).parents[1]
_OWN_CODE = Path(__file__).read_bytes()  # what runs, whatever the file is later
#: No result depends on `job`; what `config` says is in a rule's params.
LEFT_OUT = ("uprung.job.", "uprung.config.")
#: The one module that imports others by name; a rule that uses it names the modules that it needs.
REGISTRY = "uprung.models.registry"
#: Methods of a logger that write a line.
LINES = frozenset({"debug", "info", "warning", "error", "exception", "critical"})


#: File -> hash of what is in it, and what that says: the library modules that it imports, a digest of its code.
_KNOWN: dict[str, tuple[str, list[str], str]] = {}


class DynamicImportError(ImportError):
    """A module imports others by a name that is known at run time only."""


def code_digest(script: Path, *modules: str) -> str:
    """Return a digest of a script and of all that it imports from uprung, directly or not, lazily or not.

    Comments, docstrings, layout, descriptions of keys, lines of the log, warnings and the words of errors do not count.

    Args:
        script: file of a rule's script.
        modules: dotted names of library modules that `REGISTRY` loads for it.

    Raises:
        DynamicImportError: a module other than `REGISTRY` imports by name.
        FileNotFoundError: there is no such script or module.
    """
    files = [script, *(_path(name) for name in sorted(closure(script, *modules)))]
    return hashlib.sha256("".join(_read(file)[1] for file in files).encode()).hexdigest()[:16]


def closure(script: Path, *modules: str) -> frozenset[str]:
    """Return the library modules that a script imports and those that these import, without `LEFT_OUT`.

    A package counts when something is imported from it, not when one of its modules is.
    """
    return _reached([*modules, *_read(script)[0]])


def _reached(modules: Iterable[str]) -> frozenset[str]:
    """Return some modules and those that they import."""
    found, waiting = set[str](), [*modules]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _read(_path(name))[0]
    return frozenset(found)


def recall() -> None:
    """Take over what `keep` wrote, where there is any and it is what it was then."""
    with suppress(OSError, ValueError):
        surroundings, known = unseal(_kept().read_bytes())
        if surroundings == _surroundings():
            _KNOWN.update({file: (content, imports, digest) for file, (content, imports, digest) in known.items()})


def keep(*modules: str) -> None:
    """Write what was found in all files so far and in some modules, where it may be written, for the next start."""
    _reached(modules)
    content = seal([_surroundings(), _KNOWN]).encode()
    with suppress(OSError):
        if not _kept().exists() or _kept().read_bytes() != content:
            write_whole(_kept(), content)


def _kept() -> Path:
    return ROOT / "__pycache__" / "fingerprint.json"


@cache
def _surroundings() -> str:
    """Return a hash of what findings depend on beside their file: this code, Python, which modules there are."""
    modules = sorted(str(file.relative_to(ROOT)) for file in ROOT.rglob("*.py"))
    return hashlib.sha256(repr((_OWN_CODE, sys.version, modules)).encode()).hexdigest()


def _path(module: str) -> Path:
    base = ROOT.joinpath(*module.split(".")[1:])
    package = base / "__init__.py"
    return package if package.exists() else base.with_suffix(".py")


def _left_out(module: str) -> bool:
    return f"{module}.".startswith(LEFT_OUT)


@cache
def _read(file: Path) -> tuple[tuple[str, ...], str]:
    """Return the library modules that a file imports, and a digest of its code and of that in C beside it."""
    source, beside = file.read_bytes(), file.with_suffix(".c")
    compiled = beside.read_bytes() if beside.exists() else b""
    content = hashlib.sha256(repr((source, compiled)).encode()).hexdigest()
    if _KNOWN.get(str(file), ("",))[0] != content:
        tree = ast.parse(source)
        imports = _imports(tree, file)
        code = ast.dump(_WithoutWords().visit(tree)).encode() + compiled
        _KNOWN[str(file)] = (content, list(imports), hashlib.sha256(code).hexdigest())
    _, found, digest = _KNOWN[str(file)]
    return tuple(found), digest


def _imports(tree: ast.AST, file: Path) -> tuple[str, ...]:
    """Return the library modules that are imported anywhere, but for type hints alone."""
    found, waiting = set[str](), [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.Name, ast.Attribute)):
            found.update(_imported(node, file))
    return tuple(sorted(name for name in found if not _left_out(name)))


def _imported(node: ast.AST, file: Path) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = ("uprung", *file.relative_to(ROOT).parts[: -node.level])
            base = ".".join((*package, *([base] if base else [])))
        if base.split(".")[0] == "uprung":
            for alias in node.names:
                part = f"{base}.{alias.name}"
                yield part if _path(part).exists() else base
        if base == "importlib" and any(alias.name == "import_module" for alias in node.names):
            _refuse(node, file)
    elif isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.startswith("uprung."))
    elif (isinstance(node, ast.Name) and node.id == "__import__") or (
        isinstance(node, ast.Attribute) and node.attr == "import_module"
    ):
        _refuse(node, file)


def _refuse(node: ast.stmt | ast.expr, file: Path) -> None:
    if file != _path(REGISTRY):
        raise DynamicImportError(
            f"{file}, line {node.lineno}: a module is imported by name, so that a change of it would run nothing again "
            f"(allowed: import statements; names in {REGISTRY} alone)"
        )


class _WithoutWords(ast.NodeTransformer):
    """Drops what people read and no result depends on."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Drop docstrings, lines of the log and warnings."""
        told = node.value
        if isinstance(told, ast.Constant) and isinstance(told.value, str):
            return None
        if isinstance(told, ast.Call) and isinstance(told.func, ast.Attribute):
            teller, what = ast.unparse(told.func.value), told.func.attr
            if (teller in ("LOG", "logging") and what in LINES) or (teller, what) == ("warnings", "warn"):
                return None
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """Drop the logger itself."""
        return None if ast.unparse(node.targets[0]) == "LOG" else self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        """Drop the modules that only tell something."""
        node.names = [alias for alias in node.names if alias.name not in ("logging", "warnings")]
        return node if node.names else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        """Drop what does not count itself."""
        return None if _left_out(node.module or "") else node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Drop the words of an error; its type and cause stay."""
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Drop the descriptions of keys."""
        if ast.unparse(node.func) == "Field":
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "description"]
        return self.generic_visit(node)
