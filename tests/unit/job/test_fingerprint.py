"""The fingerprint of a script: what is in it, what changes it, and that nothing a script imports escapes it."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from uprung.config.base import Section
from uprung.job import fingerprint
from uprung.job.fingerprint import DynamicImportError, closure, code_digest

SCRIPTS = sorted((Path(__file__).parents[3] / "scripts").glob("*.py"))
FILES = {
    "__init__.py": "",
    "script.py": (
        '"""Do."""\n\nfrom uprung.middle import f\nfrom uprung.package import part, CONSTANT\nimport numpy\n'
        "from uprung.config.arms import Arm\nfrom uprung.job.logs import logged\n\n\nprint(f())\n"
    ),
    "middle.py": (
        "import logging\nimport warnings\n\nimport uprung.bottom\nfrom uprung import other\nfrom . import beside\n\n"
        'LOG = logging.getLogger(__name__)\n\n\ndef f(n):\n    """Do."""\n    if n < 0:\n'
        '        LOG.warning("%d", n)\n        warnings.warn("below", stacklevel=2)\n'
        '    if n > 9:\n        raise ValueError(f"{n} is too large") from None\n    return 1\n'
    ),
    "bottom.py": 'X = Field(default=1, description="one")\n',
    "other.py": "def lazy():\n    from uprung.late import Y\n    return Y\n",
    "late.py": "if TYPE_CHECKING:\n    from uprung.alone import Z\n\nY = 2\n",
    "beside.py": "B = 1\n",
    "package/__init__.py": "CONSTANT = 3\n",
    "package/part.py": "P = 1\n",
    "alone.py": "Z = 1\n",
    "config/arms.py": "class Arm: ...\n",
    "job/logs.py": "def logged(): ...\n",
    "models/registry.py": "",
    "models/one.py": "O = 1\n",
}
Edit = Callable[[str, str], str]


def forget() -> None:
    for known in (fingerprint._read, fingerprint._surroundings):
        known.cache_clear()
    fingerprint._KNOWN.clear()


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edit]:
    """Return a function that writes a file of a library of its own and returns the digest of its script afterwards."""
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)

    def change(name: str, text: str) -> str:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        forget()
        return code_digest(tmp_path / "script.py")

    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    forget()
    yield change
    forget()


def test_closure_follows_every_kind_of_import(edit: Edit, tmp_path: Path) -> None:
    names = {name.removeprefix("uprung.") for name in closure(tmp_path / "script.py")}
    assert names == {"middle", "bottom", "other", "late", "beside", "package", "package.part"}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("script.py", '"""Do."""', '"""Do something else entirely."""'),
        ("script.py", '"""Do."""\n', ""),
        ("script.py", "print(f())", "# why\n\nprint( f() )  # this"),
        ("middle.py", '    """Do."""\n', ""),
        ("middle.py", '        LOG.warning("%d", n)\n', '        LOG.info("%d is below 0", n)\n'),
        ("middle.py", '        LOG.warning("%d", n)\n', ""),
        ("middle.py", 'warn("below"', 'warn("below zero"'),
        ("middle.py", 'ValueError(f"{n} is too large")', 'ValueError(f"{n} is above 9")'),
        ("late.py", "Y = 2", "import logging\n\nLOG = logging.getLogger(__name__)\nY = 2"),
        ("bottom.py", "one", "uno"),
        ("config/arms.py", "...", "unused = False"),
        ("job/logs.py", "...", "print()"),
        ("alone.py", "1", "2"),
        ("models/one.py", "1", "2"),
    ],
)
def test_words_layout_and_what_is_left_out_do_not_count(edit: Edit, file: str, old: str, new: str) -> None:
    before = edit(file, FILES[file])
    assert old in FILES[file]
    assert edit(file, FILES[file].replace(old, new)) == before


@pytest.mark.parametrize("name", ["script", "middle", "bottom", "other", "late", "package/__init__", "package/part"])
def test_code_of_the_script_and_of_every_imported_module_counts(edit: Edit, name: str) -> None:
    before = edit(f"{name}.py", FILES[f"{name}.py"])
    assert edit(f"{name}.py", FILES[f"{name}.py"] + "\nNEW = 1\n") != before
    assert edit(f"{name}.py", FILES[f"{name}.py"]) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("late.py", "Y = 2", "Y = 2.0001"),
        ("late.py", "Y = 2", "Y = '2'"),
        ("middle.py", "n > 9", "n > 8"),
        ("middle.py", "ValueError", "KeyError"),
        ("middle.py", "return 1", "return logging.INFO"),
        ("bottom.py", "default=1", "default=2"),
        ("script.py", "print(f())", "print(f(), 1)"),
    ],
)
def test_what_is_computed_counts(edit: Edit, file: str, old: str, new: str) -> None:
    before = edit(file, FILES[file])
    assert edit(file, FILES[file].replace(old, new)) != before


def test_code_in_c_beside_a_module_counts(edit: Edit) -> None:
    without = edit("other.c", "int one;")
    assert edit("other.c", "int two;") != without
    assert edit("unknown.c", "int one;") == edit("unknown.c", "int two;")


def restarted(script: Path) -> tuple[str, frozenset[str]]:
    """Digest and closure of a script when Snakemake is started again."""
    forget()
    fingerprint.recall()
    found = code_digest(script), closure(script)
    fingerprint.keep()
    return found


def test_what_was_found_in_files_is_not_looked_for_again(
    edit: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.py"
    before = restarted(script)
    with monkeypatch.context() as patched:
        patched.setattr(ast, "parse", lambda *_: pytest.fail("parsed again"))
        assert restarted(script) == before
    edit("late.py", "Y = 3\n")
    changed = restarted(script)
    assert changed[0] != before[0]
    edit("late.py", FILES["late.py"])
    assert restarted(script) == before


def test_modules_of_a_study_are_kept_as_well(edit: Edit, tmp_path: Path) -> None:
    forget()
    fingerprint.keep("uprung.models.one")
    forget()
    fingerprint.recall()
    assert [Path(file).name for file in fingerprint._KNOWN] == ["one.py"]


def test_a_module_that_is_new_is_found_behind_an_old_import(edit: Edit, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    _, before = restarted(script)
    (tmp_path / "package/CONSTANT.py").write_text("C = 1\n")
    _, after = restarted(script)
    assert after == {*before, "uprung.package.CONSTANT"} - {"uprung.package"}


def test_a_folder_without_code_is_no_package(edit: Edit, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    before = restarted(script)
    (tmp_path / "late/__pycache__").mkdir(parents=True)  # what git leaves of a package that became a module
    assert restarted(script) == before


@pytest.mark.parametrize(
    "spoil", [lambda kept: kept[: len(kept) // 2], lambda kept: kept.replace(b"middle", b"muddle"), lambda kept: b"[1]"]
)
def test_what_is_kept_and_is_not_what_it_was_is_not_used(
    edit: Edit, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    script, kept = tmp_path / "script.py", tmp_path / "__pycache__/fingerprint.json"
    before = restarted(script)
    assert b"middle" in kept.read_bytes()
    kept.write_bytes(spoil(kept.read_bytes()))
    assert restarted(script) == before


def test_nothing_is_kept_where_nothing_can_be_written(edit: Edit, tmp_path: Path) -> None:
    (tmp_path / "__pycache__").write_text("a file in its place")
    before = restarted(tmp_path / "script.py")
    assert restarted(tmp_path / "script.py") == before


def test_modules_that_the_registry_loads_are_named_by_the_rule(edit: Edit, tmp_path: Path) -> None:
    def digests() -> tuple[str, str]:
        script = tmp_path / "script.py"
        return code_digest(script, "uprung.models.one"), code_digest(script)

    before = digests()
    edit("models/one.py", "O = 2\n")
    with_it, without = digests()
    assert with_it != before[0]
    assert without == before[1]


@pytest.mark.parametrize(
    "text",
    [
        "import importlib\nimportlib.import_module('uprung.alone')\n",
        "from importlib import import_module\n",
        "__import__('uprung.alone')\n",
    ],
)
def test_an_import_by_name_is_refused_outside_the_registry(edit: Edit, text: str) -> None:
    with pytest.raises(DynamicImportError, match=r"late\.py, line \d"):
        edit("late.py", text)
    edit("late.py", "from uprung.models import registry\n")
    edit("models/registry.py", text)


def test_an_unknown_module_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        code_digest(SCRIPTS[0], "uprung.nothing")


def test_digest_is_the_same_in_another_process() -> None:
    code = "import sys, pathlib; from uprung.job.fingerprint import *; print(code_digest(pathlib.Path(sys.argv[1])))"
    found = subprocess.run(
        [sys.executable, "-c", code, str(SCRIPTS[0])], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert found == code_digest(SCRIPTS[0])


# ------------------------------------------------------------------------------------------------ scripts as they are


def of(script: str) -> frozenset[str]:
    return closure(SCRIPTS[0].with_name(f"{script}.py"))


def test_what_was_forgotten_before_is_there() -> None:
    for script in ("write_frames", "select_frames", "collect_labels"):
        assert "uprung.frames.intake" in of(script), script
    assert "uprung.datasets.splits" in of("build_graphs")
    assert {"uprung.atomref.references", "uprung.training.loop", "uprung.datasets.store"} <= of("train")
    assert not {name for name in of("train") if name.split(".")[1] in ("figures", "report", "scaling", "evaluation")}
    assert "uprung.frames.intake" not in of("train")  # how tables are written retrains nothing by itself


# imports what each script imports, in one process, and prints which modules of the library that has loaded
LOADED = """
import ast, json, sys
found = {}
for file in sys.argv[1:]:
    for name in [name for name in sys.modules if name.split(".")[0] == "uprung"]:
        del sys.modules[name]
    nodes = [n for n in ast.walk(ast.parse(open(file).read())) if isinstance(n, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(nodes, []), file, "exec"))
    found[file] = [name for name in sys.modules if name.split(".")[0] == "uprung"]
print(json.dumps(found))
"""


def packages_of(modules: frozenset[str]) -> frozenset[str]:
    parts = [name.split(".") for name in modules]
    return frozenset(".".join(names[:depth]) for names in parts for depth in range(2, len(names)))


def test_no_import_escapes_the_fingerprint() -> None:
    files = list(map(str, SCRIPTS))
    ran = subprocess.run([sys.executable, "-c", LOADED, *files], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    for file, loaded in json.loads(ran.stdout).items():
        counted = by_packages = closure(Path(file))
        while packages := packages_of(by_packages) - by_packages:  # Python runs the package of every module
            by_packages = closure(Path(file), *by_packages, *packages)
        job_and_config = {name for name in loaded if fingerprint._left_out(name)}
        beside = {"uprung", "uprung.version"}  # what is written into cards, and decides no number
        assert set(loaded) - job_and_config - by_packages <= beside, file
        for package in packages_of(counted) - counted:
            tree = ast.parse(fingerprint._path(package).read_text())
            done = [node.value for node in tree.body if isinstance(node, ast.Expr)]
            assert all(isinstance(value, ast.Constant) for value in done), f"{package} does something when imported"


def imported_from_config(file: Path) -> Iterator[tuple[str, object]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("uprung.config."):
            module = importlib.import_module(node.module)
            yield from ((alias.name, getattr(module, alias.name)) for alias in node.names)


ALLOWED = {
    "Arm": {"fit"},  # `references`, which is in the params
    # names of fidelities, and runs: in the params, or deciding which files are inputs, of the rules that use them
    "Study": {"low", "high", "runs"}
    # checkpoints of arms and networks: evaluated in rules, so that they are in the params; the page names them only
    | {"checkpoint_of", "networks", "start_of"}
    # labels and printed names of arms: evaluated in rules likewise
    | {"labels_of", "label_of"},
    # evaluated in rules: which networks have a job, and which sets are repaired, which is in the params
    "Physics": {"tested", "repaired", "tuned"},
    "ForceSet": {"labelled_here"},  # evaluated in a rule: it decides which files are its inputs
    "Snapshots": {"protocol"},  # evaluated in a rule, so that what it returns is in the params
    "Tracking": {"services", "missing"},  # decides no number
}


def test_nothing_computed_in_config_escapes_the_params() -> None:
    files = {*SCRIPTS, *(fingerprint._path(name) for script in SCRIPTS for name in closure(script))}
    for file in files:
        for name, thing in imported_from_config(file):
            if isinstance(thing, type) and issubclass(thing, Section):
                sections = [kind for kind in thing.__mro__ if issubclass(kind, Section)]
                public = {key for kind in sections for key in vars(kind) if not key.startswith(("_", "model_"))}
                assert public <= ALLOWED.get(name, set()), f"{file}: {name}"
            else:
                # decides which files are inputs
                assert not inspect.isfunction(thing) or name == "tuned_arms", f"{file}: {name}"
