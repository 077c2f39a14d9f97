from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from uprung.job import provenance
from uprung.job.provenance import closure, code_digest, hardware, versions

FILES = {
    "__init__.py": "",
    "top.py": (
        "from uprung.middle import f\nfrom uprung.package import part, CONSTANT\nimport numpy\n\n\n"
        'def g():\n    """Do."""\n    return f()\n'
    ),
    "middle.py": "import uprung.bottom\nfrom uprung import other\n\n\ndef f():\n    return 1\n",
    "bottom.py": "X = 1\n",
    "other.py": "def lazy():\n    from uprung.late import Y\n    return Y\n",
    "late.py": "Y = 2\n",
    "package/__init__.py": "CONSTANT = 3\n",
    "package/part.py": "P = 1\n",
    "alone.py": "Z = 1\n",
}


def forget() -> None:
    for function in (closure, provenance._tree, provenance._imports, provenance._digest):
        function.cache_clear()


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], str]]:
    """Return a function that writes a module and returns the digest of `uprung.top` afterwards."""
    monkeypatch.setattr(provenance, "ROOT", tmp_path)

    def change(name: str, text: str) -> str:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        forget()
        return code_digest("uprung.top")

    (tmp_path / "package").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    forget()
    yield change
    forget()


def test_closure_follows_every_kind_of_import(edit: Callable[[str, str], str]) -> None:
    names = {name.removeprefix("uprung.") for name in closure("uprung.top")}
    assert names == {"top", "middle", "bottom", "other", "late", "package", "package.part"}


def test_descriptions_of_keys_do_not_count(edit: Callable[[str, str], str]) -> None:
    first = edit("bottom.py", 'X = Field(default=1, description="one")\n')
    assert edit("bottom.py", 'X = Field(default=1, description="uno")\n') == first
    assert edit("bottom.py", 'X = Field(default=2, description="uno")\n') != first


@pytest.mark.parametrize(
    "text",
    [
        FILES["top.py"].replace('"""Do."""', '"""Do something else entirely."""'),
        FILES["top.py"].replace('    """Do."""\n', ""),
        FILES["top.py"].replace("    return f()", "    # why\n\n    return f( )  # this"),
        '"""A docstring of the module."""\n' + FILES["top.py"],
    ],
    ids=["docstring changed", "docstring removed", "comments and layout", "docstring added"],
)
def test_words_and_layout_do_not_count(edit: Callable[[str, str], str], text: str) -> None:
    before = code_digest("uprung.top")
    assert text != FILES["top.py"]
    assert edit("top.py", text) == before


@pytest.mark.parametrize("name", ["top", "middle", "bottom", "other", "late", "package/__init__", "package/part"])
def test_code_of_every_imported_module_counts(edit: Callable[[str, str], str], name: str) -> None:
    before = code_digest("uprung.top")
    assert edit(f"{name}.py", FILES[f"{name}.py"] + "\nNEW = 1\n") != before
    assert edit(f"{name}.py", FILES[f"{name}.py"]) == before


def test_a_number_counts(edit: Callable[[str, str], str]) -> None:
    before = code_digest("uprung.top")
    assert edit("bottom.py", "X = 1.0001\n") != before


def test_a_string_that_is_no_docstring_counts(edit: Callable[[str, str], str]) -> None:
    assert edit("bottom.py", "X = 'a'\n") != edit("bottom.py", "X = 'b'\n")


def test_modules_that_are_not_imported_do_not_count(edit: Callable[[str, str], str]) -> None:
    before = code_digest("uprung.top")
    assert edit("alone.py", "Z = 2\n") == before


def test_several_modules_are_one_digest_in_any_order(edit: Callable[[str, str], str]) -> None:
    both = code_digest("uprung.top", "uprung.alone")
    assert both == code_digest("uprung.alone", "uprung.top") != code_digest("uprung.top")


def test_digest_is_the_same_in_another_process() -> None:
    forget()
    code = "from uprung.job.provenance import code_digest; print(code_digest('uprung.datasets.splits'))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert found == code_digest("uprung.datasets.splits")


def test_real_closures_hang_together() -> None:
    forget()
    # the code of an architecture is imported by name, so it is a root of its own
    names = closure("uprung.training.loop") | closure("uprung.models.chgnet.architecture")
    assert {
        "uprung.frames.table",
        "uprung.models.chgnet.graphs",
        "uprung.models.chgnet.store",
        "uprung.models.chgnet.packed",
        "uprung.models.interface",
        "uprung.datasets.store",
    } <= names
    assert not {name for name in names if name.startswith(("uprung.figures", "uprung.report", "uprung.scaling"))}
    assert not {"uprung.frames.intake", "uprung.frames.parts"} & names  # how tables are written retrains nothing
    readers = {"uprung.sources", "uprung.sources.diatomics", "uprung.sources.table", "uprung.frames.schema"}
    assert readers <= closure("uprung.sources")


def test_an_unknown_module_is_an_error() -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        code_digest("uprung.nothing")


def test_versions_and_hardware() -> None:
    found = versions("chgnet", "vesin")
    assert {"python", "torch", "chgnet", "numpy", "vesin"} <= found.keys()
    assert "not installed" not in {found[name] for name in ("torch", "chgnet", "numpy", "vesin")}
    assert versions("no-such-package")["no-such-package"] == "not installed"
    facts = hardware()
    assert set(facts) == {"processor", "cores", "system"}
    assert facts["cores"] >= 1
