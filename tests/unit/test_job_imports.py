"""What a job imports before it begins: no package that takes longer than many a job and that it does not need."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = {path.stem: path for path in sorted((ROOT / "scripts").glob("*.py"))}
#: A third of a second or more each; where they are needed a function imports them.
HEAVY = {
    *("lightning", "pymatgen", "chgnet.model", "chgnet.graph", "sklearn", "vesin", "torch._dynamo"),
    *("ase.visualize", "ase.visualize.plot", "ase.optimize"),
    *("scipy.stats", "scipy.spatial", "scipy.optimize", "scipy.interpolate", "scipy.sparse"),
}
#: Jobs that compute with networks.
NETWORKS = {
    *("train", "pretrain", "evaluate", "evaluate_pretrained", "evaluate_untouched", "predict_pretrained", "find_holes"),
    *("soften", "fine_tune_softening", "sample_snapshots", "build_graphs", "build_evalset", "collect_snapshots"),
    *("compute_physics", "repair_physics", "estimate_fisher", "agree_teachers"),
}


def at_once(path: Path) -> Iterator[str]:
    """Yield the dotted names of what a file imports when it is imported itself."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{item.name}" for item in node.names)
        waiting += ast.iter_child_nodes(node)


def closure(script: Path) -> set[str]:
    """Return everything that a script imports before it begins, through the modules of the library."""
    found, waiting = set[str](), [script]
    while waiting:
        for name in at_once(waiting.pop()):
            if name not in found:
                found.add(name)
                base = ROOT.joinpath("src", *name.split("."))
                parents = [base.parents[k] / "__init__.py" for k in range(name.count("."))]
                files = [base.with_suffix(".py"), base / "__init__.py", *parents]
                waiting += [file for file in files if name.startswith("uprung") and file.exists()]
    return found


def of_package(names: set[str], package: str) -> set[str]:
    return {name for name in names if f"{name}.".startswith(f"{package}.")}


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name != "select_frames"])  # works with pymatgen
def test_a_job_imports_nothing_heavy(script: str) -> None:
    names = closure(SCRIPTS[script])
    for package in HEAVY:
        assert not of_package(names, package), f"{script} imports {package} before it begins"


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name not in NETWORKS])
def test_a_job_without_a_network_needs_no_torch(script: str) -> None:
    assert not of_package(closure(SCRIPTS[script]), "torch")


#: The page has the words and colours of the figures.
DRAWN = ("plot_", "correct_", "collect_errors", "write_report", "write_points_report")


@pytest.mark.parametrize("script", [name for name in SCRIPTS if not name.startswith(DRAWN)])
def test_who_draws_nothing_needs_no_matplotlib(script: str) -> None:
    assert not of_package(closure(SCRIPTS[script]), "matplotlib")


def test_a_network_is_trained_without_the_packages_of_others() -> None:
    code = (
        "import sys, uprung.training.run, uprung.models.registry as r\n"
        "p = r.architecture('chgnet').new(0)\n"
        "r.load('chgnet-0.3.0')\n"
        "from uprung.config.training import Training\n"
        "from uprung.training.gradient import launch\n"
        "launch(Training())\n"
        f"print(*[name for name in {sorted(HEAVY)} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
