"""The conda environments, the lock and pyproject.toml say the same, and hold what the code imports."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from uprung.job.fingerprint import REGISTRY, closure
from uprung.models.registry import CARDS

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
CONDA_TO_PYPI = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
MODULE_TO_PYPI = {"sklearn": "scikit-learn", "yaml": "pyyaml", "pydantic_core": "pydantic", "mace": "mace-torch"}
VALIDATION = "pymatgen-io-validation"
#: Extra -> place of the modules that may import its packages, and the scripts that import these modules.
EXTRAS = {
    "dft": ("src/uprung/dft/gpaw.py", {"label_structures.py"}),
    "matgl": ("src/uprung/models/matgl", set()),
    "sevennet": ("src/uprung/models/sevennet", set()),
    "mace": ("src/uprung/models/mace", set()),
    "pull": ("src/uprung/sources/materials_project", {"download_materials_project.py", "select_frames.py"}),
}
#: What pip needs to build GPAW from source: no Python packages, so no part of the lock.
BUILD_TOOLS = {"cxx-compiler", "libxc"}
CUDA = re.compile(r"nvidia-(?!ml-py)|triton|pytorch-cuda|cuda|cudnn|cupy|jax-cuda")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(name: str = "requirements.lock") -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    return {canonical(name): version for name, version in (line.split("==") for line in lines if line[:1] not in "# ")}


def pins(environment: Path) -> dict[str, str]:
    """Return the packages of a conda file by their PyPI names, without Python and pip."""
    content: dict[str, Any] = yaml.safe_load(environment.read_text(encoding="utf-8"))
    entries = [e for e in content["dependencies"] if isinstance(e, str) and e not in {"pip", *BUILD_TOOLS}]
    (pip,) = [e["pip"] for e in content["dependencies"] if isinstance(e, dict)] or [[]]
    found = {}
    for entry in [*entries, *pip]:
        name, version = re.fullmatch(r"([A-Za-z0-9_.-]+?)={1,2}([0-9][^=]*)", entry).groups()
        found[canonical(CONDA_TO_PYPI.get(name, name))] = version
    return found


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def declared() -> set[str]:
    return {canonical(re.match(r"[A-Za-z0-9_.-]+", entry)[0]) for entry in project()["dependencies"]}


def own_dft() -> dict[str, str]:
    """Return the packages that only labels of one's own need: in their conda file, but not in the lock."""
    return dict(entry.split("==") for entry in project()["optional-dependencies"]["dft"])


def optional(extra: str) -> set[str]:
    """Return the packages of an extra."""
    return {canonical(re.match(r"[A-Za-z0-9_.-]+", entry)[0]) for entry in project()["optional-dependencies"][extra]}


@functools.cache
def external(path: Path) -> frozenset[str]:
    """Return the PyPI names of all that a file imports beside the standard library and uprung."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    packages = {VALIDATION if name.startswith("pymatgen.io.validation") else name.split(".")[0] for name in found}
    others = packages - sys.stdlib_module_names - {"uprung"}
    if path == ROOT / "src/uprung/models/chgnet/fused.py":
        others -= {"triton"}  # comes with PyTorch's builds for CUDA, and is imported where it is there
    return frozenset(canonical(MODULE_TO_PYPI.get(name, name)) for name in others)


def module_file(name: str) -> Path:
    base = ROOT.joinpath("src", *name.split("."))
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")


@functools.cache
def files_behind(script: str) -> list[Path]:
    """Return a script and the modules of uprung that it imports, directly or not."""
    path = ROOT / "scripts" / script
    found = [path, *map(module_file, closure(path))]
    based = [card.module for card in CARDS.values() if card.name == "chgnet"]  # others are extras, in no conda file
    architectures = based if any(map(needs_networks, found)) else []
    return [path, *map(module_file, closure(path, *architectures))]


@functools.cache
def needs_networks(path: Path) -> bool:
    """Return whether a file has the registry import the code of an architecture; its cards are facts alone."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in nodes if node.module == REGISTRY for alias in node.names}
    return bool(names & {"architecture", "load"})


def jobs() -> list[tuple[str, str]]:
    """Return (conda file, script) of every rule with a script; the Snakefile sets the file where a rule does not."""
    found = []
    for rules in sorted((ROOT / "rules").glob("*.smk")):
        for text in re.split(r"^ *rule |^ *checkpoint ", rules.read_text(), flags=re.MULTILINE)[1:]:
            script = re.search(r'script:\s*"\.\./scripts/([^"]+)"', text)
            conda = re.search(r'conda:\s*"\.\./([^"]+)"', text)
            if script:
                usual = "training" if REGISTRY in closure(ROOT / "scripts" / script[1]) else "analysis"
                found.append((conda[1] if conda else f"envs/{usual}.yaml", script[1]))
    return found


JOBS = jobs()
MACE = locked("requirements-mace.lock")


def test_rules_were_found() -> None:
    assert len(JOBS) >= 15
    own = {f"envs/{card.environment}.yaml" for card in CARDS.values() if card.environment}
    assert {conda for conda, _ in JOBS} | own == {f"envs/{path.name}" for path in ENVIRONMENTS}


@pytest.mark.parametrize("rules", sorted((ROOT / "rules").glob("*.smk")), ids=lambda path: path.name)
def test_every_environment_that_a_rule_names_exists(rules: Path) -> None:
    for name in re.findall(r'conda:\s*"([^"]+)"', rules.read_text(encoding="utf-8")):
        assert (rules.parent / name).is_file(), name


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.name)
def test_conda_versions_are_those_of_the_lock(path: Path) -> None:
    lock, found = locked(), pins(path)
    if path.name == "gpaw.yaml":
        lock |= own_dft()
    if path.name == "mace.yaml":
        lock |= MACE
    assert re.fullmatch(r"3\.1[1-9]", found.pop("python"))
    assert found == {name: lock.get(name) for name in found}
    assert len(found) >= 7


def test_mace_has_what_training_has_and_its_own() -> None:
    assert pins(ROOT / "envs/mace.yaml").items() >= pins(ROOT / "envs/training.yaml").items()
    assert {f"{name}=={MACE[name]}" for name in ("e3nn", "mace-torch")} <= {
        f"{name}=={version}" for name, version in pins(ROOT / "envs/mace.yaml").items()
    }
    assert not MACE.keys() & locked().keys()  # the few packages of `.venv-mace`, before those of `.venv`
    assert all(card.environment in ("", "mace") for card in CARDS.values())


def test_gpaw_is_one_version_everywhere_and_no_part_of_the_lock() -> None:
    versions = own_dft()
    assert versions.keys() == {"gpaw", "gpaw-data"}
    assert not versions.keys() & locked().keys()
    wanted = " ".join(f"{name}=={version}" for name, version in versions.items())
    for file in ("Makefile", "docs/how-to/own-dft.md"):
        assert wanted in (ROOT / file).read_text(), file
    assert pins(ROOT / "envs/gpaw.yaml").items() >= versions.items()


def test_lock_is_exact_and_unique() -> None:
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and line[0] != "#"]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+", line)] == []
    assert len(locked()) == len(lines)
    assert "torch==2.13.0" in lines  # no build tag, so that pip takes what fits the machine


def test_lock_holds_every_dependency() -> None:
    assert declared() - locked().keys() == set()


@pytest.mark.parametrize(
    "names", [locked(), MACE, *map(pins, ENVIRONMENTS)], ids=["lock", "mace", *(p.name for p in ENVIRONMENTS)]
)
def test_no_cuda_package_is_listed(names: dict[str, str]) -> None:
    assert [name for name in names if CUDA.match(name)] == []


def test_the_pattern_knows_cuda_packages() -> None:
    for name in ("nvidia-cublas-cu12", "nvidia-cuda-runtime-cu12", "nvidia-nccl-cu12", "triton", "cuda-bindings"):
        assert CUDA.match(name)
    assert not CUDA.match("nvidia-ml-py3")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "src").rglob("*.py")), ids=lambda p: p.relative_to(ROOT / "src").as_posix()
)
def test_every_import_is_a_declared_dependency(path: Path) -> None:
    extras = [optional(name) for name, (place, _) in EXTRAS.items() if path.is_relative_to(ROOT / place)]
    assert external(path) - declared() - set().union(*extras) == set()


def test_what_needs_networks_is_known() -> None:
    assert needs_networks(ROOT / "src/uprung/models/predict.py") is False
    assert needs_networks(ROOT / "src/uprung/models/data.py") is True
    assert module_file("uprung.models.chgnet.packed") in files_behind("train.py")
    assert module_file("uprung.models.chgnet.packed") in files_behind("build_graphs.py")
    assert module_file("uprung.models.chgnet.packed") not in files_behind("write_report.py")


@pytest.mark.parametrize("extra", EXTRAS)
def test_scripts_of_the_base_installation_do_without_extras(extra: str) -> None:
    packages = optional(extra) - declared()
    needing = {script for _, script in JOBS if any(external(file) & packages for file in files_behind(script))}
    assert needing == EXTRAS[extra][1]


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("uprung.sources.materials_project.tables", "deltalake"),
        ("uprung.sources.materials_project.service", "mp_api"),
        ("uprung.sources.materials_project.validation", "pymatgen.io.validation"),
    ],
)
def test_a_missing_extra_is_one_line(module: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name in (module, package) or name.startswith(f"{package}."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ModuleNotFoundError, match=r"^the Materials Project needs the extra `pull` \(.*\[pull\]"
    ) as error:
        importlib.import_module(module)
    assert "pip install --editable '.[pull]'" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("conda", "script"), JOBS, ids=[script for _, script in JOBS])
def test_environment_of_a_rule_holds_what_its_script_imports(conda: str, script: str) -> None:
    needed = set().union(*map(external, files_behind(script)))
    assert needed - pins(ROOT / conda).keys() == set()


@pytest.mark.parametrize("script", sorted({s for conda, s in JOBS if conda.endswith("analysis.yaml")}))
def test_analysis_needs_no_torch(script: str) -> None:
    for file in files_behind(script):
        assert not external(file) & {"torch", "chgnet", "lightning"}, file


def test_modules_of_architectures_with_environments_of_their_own_are_read_anywhere() -> None:
    """Stored inputs and the look at a file do without the package."""
    (code,) = {card.module for card in CARDS.values() if card.environment}
    path = module_file(code)
    own = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)]
    modules = [str(node.module) for node in own if str(node.module).startswith("uprung.")]
    needed = set().union(*(external(module_file(name)) for name in modules))
    assert not needed & (optional("mace") - declared())
