"""Nothing in the library or in scripts unpickles, evaluates, or builds whatever class a file names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from uprung.models.registry import CARDS

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*.py")])

#: Modules whose readers run code that a file holds, or build the class that it names.
MODULES = {
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle", "runpy", "code"),
    *("monty", "subprocess", "ctypes", "xml", "torch.hub", "torch.package", "torch.jit"),
}
#: Functions and classes that do so.
CALLS = {
    *("eval", "exec", "compile", "__import__", "importlib.import_module", "os.system", "os.popen"),
    *("pandas.read_pickle", "pandas.read_hdf", "pandas.eval", "joblib.load", "joblib.Memory"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.full_load", "yaml.full_load_all"),
    *("yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader", "numpy.lib.format.read_array"),
    *("monty.json.MontyDecoder", "monty.serialization.loadfn", "pymatgen.core.Structure.from_dict"),
    *("pymatgen.core.Structure.from_file", "pymatgen.core.Structure.from_str"),
    *("ase.db.connect", "ase.io.jsonio.decode", "ase.io.jsonio.read_json", "ase.io.trajectory.PickleTrajectory"),
    *("torch.serialization.add_safe_globals", "torch.serialization.safe_globals", "torch.jit.load", "torch.hub.load"),
    *("chgnet.model.CHGNet.from_file", "chgnet.model.CHGNet.load", "chgnet.model.CHGNet.from_dict"),
}
#: Functions that are safe with this argument alone.
NEEDED = {
    "torch.load": ("weights_only", "True"),
    "ase.io.read": ("format", None),  # any: but named, so that the file's name or content does not choose the reader
    "ase.io.iread": ("format", None),
}
#: Arguments that no call may have.
FORBIDDEN = {"allow_pickle", "shell", "pickle_module"}

EXCEPTIONS = {
    ("src/uprung/models/registry.py", "importlib.import_module"): "modules that the library's own cards name",
    ("src/uprung/models/chgnet/checkpoint.py", "pickle"): "for `pickle.UnpicklingError`, which torch raises",
    ("src/uprung/sources/vasprun.py", "xml"): "entities need a document type, and a file that begins with one is no "
    "vasprun.xml (tests/unit/sources/test_hostile_files.py)",
}


def aliases(tree: ast.AST) -> dict[str, str]:
    """Return name in the file -> dotted name of what it stands for."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                name = item.asname or item.name.split(".")[0]
                found[name] = item.name if item.asname else name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {item.asname or item.name: f"{node.module}.{item.name}" for item in node.names}
    return found


def dotted(node: ast.AST, known: dict[str, str]) -> str:
    """Return the dotted name of an expression, "" for one that is no name."""
    if isinstance(node, ast.Attribute):
        base = dotted(node.value, known)
        return f"{base}.{node.attr}" if base else ""
    return known.get(node.id, node.id) if isinstance(node, ast.Name) else ""


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (item.name for item in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""
            yield from (f"{node.module}.{item.name}" for item in node.names)


def unsafe(code: str) -> list[str]:
    """Return what a file has of the lists above."""
    tree = ast.parse(code)
    known = aliases(tree)
    found = [f"{m}" for name in imported(tree) for m in MODULES if name == m or name.startswith(f"{m}.")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and dotted(node, known) in CALLS:
            found.append(dotted(node, known))
        if not isinstance(node, ast.Call):
            continue
        name, given = dotted(node.func, known), {k.arg: ast.unparse(k.value) for k in node.keywords}
        found += [f"{name}({word}=)" for word in FORBIDDEN & given.keys()]
        if name in NEEDED:
            word, value = NEEDED[name]
            if word not in given or value not in (None, given[word]):
                found.append(f"{name} without {word}")
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_runs_what_it_reads(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    assert [item for item in unsafe(path.read_text()) if (name, item) not in EXCEPTIONS] == []


def test_exceptions_are_still_needed() -> None:
    for name, item in EXCEPTIONS:
        assert item in unsafe((ROOT / name).read_text()), (name, item)
    modules = {card.module for card in CARDS.values()}
    assert all(module.startswith("uprung.models.") for module in modules)
    assert (ROOT / "src/uprung/models/registry.py").read_text().count("import_module(CARDS[name].module)") == 1
    text = (ROOT / "src/uprung/models/chgnet/checkpoint.py").read_text()
    assert text.count("pickle.") == text.count("pickle.UnpicklingError") > 0


def test_networks_are_read_in_two_places() -> None:
    there = [path.relative_to(ROOT).as_posix() for path in FILES if "torch.load(" in path.read_text()]
    assert there == ["src/uprung/models/chgnet/checkpoint.py", "src/uprung/training/resume.py"]


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from cloudpickle import loads",
        "def f():\n    import pickle as p\n    return p.load(x)",
        "import torch\ntorch.load(f)",
        "import torch\ntorch.load(f, weights_only=False)",
        "from torch import load\nload(f, map_location='cpu')",
        "import torch as t\nt.load(f, weights_only=some)",
        "from torch.serialization import add_safe_globals\nadd_safe_globals([x])",
        "import numpy as np\nnp.load(f, allow_pickle=True)",
        "import numpy as np\nnp.load(f, allow_pickle=flag)",
        "import pandas as pd\npd.read_pickle(f)",
        "import joblib\njoblib.load(f)",
        "import yaml\nyaml.load(f, Loader=yaml.SafeLoader)",
        "import yaml\nx = yaml.UnsafeLoader",
        "from monty.json import MontyDecoder",
        "from monty.serialization import loadfn",
        "import ase.io\nase.io.read(f)",
        "from ase.io import iread\niread(f, index=':')",
        "import subprocess",
        "x = eval(text)",
        "run(x, shell=True)",
    ],
)
def test_the_search_finds(code: str) -> None:
    assert unsafe(code)


def test_the_search_leaves_what_is_safe() -> None:
    code = "import numpy as np, torch, yaml, ase.io\nnp.load(f)\ntorch.load(f, weights_only=True)\nyaml.safe_load(f)\n"
    assert unsafe(code + "ase.io.read(f, format='extxyz')\nfrom joblib import Parallel\n") == []
