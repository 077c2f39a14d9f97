"""Imports point one way between the rooms of the library, and each architecture's package stays in its folder."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[2] / "src/uprung"
FILES = sorted(LIBRARY.rglob("*.py"))
#: Room -> rooms that it may import; `job` may be imported by all.
BELOW = {
    "job": set(),
    "config": set(),
    "laws": set(),
    "frames": {"config"},
    "sources": {"config", "frames"},
    "structures": {"config", "frames"},
    "datasets": {"config", "frames", "structures"},
    "atomref": {"config", "frames", "structures", "datasets"},
    "labels": {"config", "frames", "structures", "atomref"},
    "dft": {"config", "frames", "sources"},
    "models": {"config", "frames", "structures", "datasets", "atomref"},
    "training": {"config", "frames", "structures", "datasets", "atomref", "models"},
}
BELOW["scaling"] = {"config", "laws", "frames"}
BELOW["evaluation"] = {*BELOW["training"], "training"}
BELOW["softening"] = {*BELOW["training"], "training", "sources", "dft"}
BELOW["physics"] = {*BELOW["softening"], "softening"}
BELOW["figures"] = {"config", "frames", "laws", "scaling", "labels", "evaluation", "softening", "physics"}
BELOW["report"] = {*BELOW["figures"], "figures", "models"}
BELOW["api"] = {*BELOW} - {"figures", "report", "dft"}
BELOW["cli"] = {*BELOW}
#: Architecture's folder -> packages that nothing else may import.
PACKAGES = {"chgnet": {"chgnet"}, "matgl": {"matgl"}, "sevennet": {"sevenn"}, "mace": {"mace"}}


def imported(path: Path, *, types: bool = True) -> Iterator[str]:
    """Yield the dotted names of all modules that a file imports, also inside functions, and for types if asked."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not types:
        tree.body = [node for node in tree.body if not isinstance(node, ast.If)]  # `if TYPE_CHECKING:`
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module)
            yield from (f"{node.module}.{item.name}" for item in node.names)


def room(path: Path) -> str:
    return path.relative_to(LIBRARY).parts[0]


def test_every_room_has_its_place() -> None:
    assert {room(path) for path in FILES if path.parent != LIBRARY} == set(BELOW)


@pytest.mark.parametrize("name", BELOW)
def test_imports_point_one_way(name: str) -> None:
    allowed = {name, "job", *BELOW[name]}
    for path in (file for file in FILES if room(file) == name):
        used = {module.split(".")[1] for module in imported(path) if module.startswith("uprung.")}
        assert used - {"version"} <= allowed, path


def test_packages_of_architectures_stay_in_their_folders() -> None:
    for path in FILES:
        tops = {module.split(".")[0] for module in imported(path)}
        for folder, packages in PACKAGES.items():
            if path.parent != LIBRARY / "models" / folder:
                assert not tops & packages, path


@pytest.mark.parametrize("name", ["figures", "report", "labels", "scaling", "laws", "config", "frames", "structures"])
def test_analysis_needs_no_torch(name: str) -> None:
    seen, waiting = set[Path](), [file for file in FILES if room(file) == name]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        names = set(imported(path, types=False))
        assert not {module.split(".")[0] for module in names} & {"torch", "lightning"}, path
        for module in names:
            base = LIBRARY.joinpath(*module.split(".")[1:]) if module.startswith("uprung.") else None
            if base is not None:
                waiting += [file for file in (base.with_suffix(".py"), base / "__init__.py") if file.exists()]


def test_no_file_is_long() -> None:
    lengths = {path.relative_to(LIBRARY).as_posix(): len(path.read_text().splitlines()) for path in FILES}
    assert {name: n for name, n in lengths.items() if n > 350} == {}


def test_a_class_name_means_one_thing() -> None:
    names = Counter(
        node.name
        for file in FILES
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, times in names.items() if times > 1] == []
