"""What a command of a page needs: options of its parser, targets, files, extras. Nothing of it runs for long."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from pages.blocks import ROOT, Command

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: Files that a reader has, by the names that pages give them.
OF_THE_READER = re.compile(r"[\w-]+\.yaml|my\.csv|[\w-]+\.(ext)?xyz")
PLACEHOLDER = {"...", "…"}


def problems(command: Command) -> list[str]:
    """Return what a command asks for and the repository does not have."""
    check = CHECKS.get(command.program)
    if check is None:
        return [f"no check knows the program {command.program!r}"]
    return list(check([word for word in command.words[1:] if word not in PLACEHOLDER]))


def _parsed(parser: argparse.ArgumentParser, words: list[str]) -> tuple[argparse.Namespace | None, list[str]]:
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
        try:
            return parser.parse_args(words), []
        except SystemExit as ended:
            return None, [told.getvalue()] if ended.code else []


@cache
def rules() -> frozenset[str]:
    """Return the names of the rules of the workflow."""
    files = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    return frozenset(re.findall(r"^ *rule (\w+):", "".join(map(Path.read_text, files)), re.MULTILINE))


def _snakemake(words: list[str]) -> Iterable[str]:
    from snakemake.cli import get_argument_parser

    given, wrong = _parsed(get_argument_parser(), words)
    yield from wrong
    if given is None:
        return
    profile = [f"{given.workflow_profile}/profile.yaml"] if given.workflow_profile else []
    for file in [*profile, *map(str, given.configfile or [])]:
        if not OF_THE_READER.fullmatch(file) and not (ROOT / file).is_file():
            yield f"no such file: {file}"
    for target in given.targets:
        if target not in rules() and not target.startswith("results/"):
            yield f"no such rule: {target}"


def _uprung(words: list[str]) -> Iterable[str]:
    from uprung.cli.main import _at_dashes, _parser

    own, of_snakemake = _at_dashes(words if len(words) > 1 else [*words, "--help"])
    given, wrong = _parsed(_parser(), own)
    yield from wrong
    if given is not None and of_snakemake:
        yield from _snakemake(of_snakemake)


def _make(words: list[str]) -> Iterable[str]:
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        yield done.stderr


def _python(words: list[str]) -> Iterable[str]:
    if words[0] != "-m":
        yield from _script(words)
    elif words[1] in MODULES:
        yield from MODULES[words[1]](words[2:])
    else:
        yield f"no check knows `python -m {words[1]}`"


def _script(words: list[str]) -> Iterable[str]:
    file = ROOT / words[0]
    if not file.is_file():
        yield f"no such script: {words[0]}"
        return
    text = file.read_text(encoding="utf-8")
    for option in (word.split("=")[0] for word in words[1:] if word.startswith("--")):
        if f'"{option}"' not in text and f'"{option[2:]}"' not in text:  # written out, or made of a name
            yield f"{words[0]} has no option {option}"


def _pytest(words: list[str]) -> Iterable[str]:
    markers = {marker.split(":")[0] for marker in _table("tool", "pytest", "ini_options", "markers")} | {"not"}
    before = ""
    for word in words:
        if before == "-m" and not markers.issuperset(word.split()):
            yield f"no such marker: {word}"
        if "/" in word and not (ROOT / word.split("::")[0]).exists():
            yield f"no such test: {word}"
        before = word


def _pip(words: list[str]) -> Iterable[str]:
    pins = "".join(path.read_text() for path in ROOT.glob("requirements*.lock")) + (ROOT / "pyproject.toml").read_text()
    for word in words[1:]:
        if extras := re.fullmatch(r"(?:\.|uprung\S*)\[([\w,]+)\]", word):
            known = PROJECT["optional-dependencies"]
            yield from (f"no such extra: {extra}" for extra in extras[1].split(",") if extra not in known)
        elif "==" in word and word not in pins:
            yield f"pinned otherwise: {word}"
        elif word.endswith(".lock") and not (ROOT / word).is_file():
            yield f"no such file: {word}"


def _tensorboard(words: list[str]) -> Iterable[str]:
    if not (Path(sys.executable).parent / "tensorboard").is_file():
        yield "tensorboard is not installed"
    yield from (f"tensorboard has no option {word}" for word in words if word.startswith("-") and word != "--logdir")


def _ruff(words: list[str]) -> Iterable[str]:
    done = subprocess.run([sys.executable, "-m", "ruff", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        yield done.stdout + done.stderr


def _export(words: list[str]) -> Iterable[str]:
    name = words[0].split("=")[0]
    if not any(name in path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")):
        yield f"nothing reads {name}"


def _exist(words: list[str]) -> Iterable[str]:
    yield from (f"no such file: {word}" for word in words if not (ROOT / word).exists())


def _table(*keys: str) -> list[str]:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for key in keys:
        found = found[key]
    return found  # type: ignore[return-value]


Check = Callable[[list[str]], Iterable[str]]
CHECKS: dict[str, Check] = {
    "snakemake": _snakemake,
    "uprung": _uprung,
    "make": _make,
    "python": _python,
    "python3": _python,
    "sh": _script,
    "pip": _pip,
    "tensorboard": _tensorboard,
    "ruff": _ruff,
    "export": _export,
    "$EDITOR": _exist,
    "cd": lambda words: (),
}
MODULES: dict[str, Check] = {"pytest": _pytest, "pip": _pip, "uprung": _uprung}
