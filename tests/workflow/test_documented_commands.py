"""Commands of README and docs that take longer than a moment.

Snakemake and uprung plan each, pytest collects each, scripts say their options.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages.blocks import ROOT, Command, all_commands
from pages.exceptions import COMMANDS
from workplace import Workplace, checkout

pytestmark = pytest.mark.long

#: Options that change something, or need what a reader has: taken away before a command is tried.
WITHOUT = {"--unlock", "--sdm", "conda", "..."}
POINTS = "n,arm,target,mae\n" + "".join(
    f"{n},{arm},energy,{mae / n**0.4:.4f}\n"
    for arm, mae in (("scratch", 2.0), ("transfer", 0.5))
    for n in (50, 100, 200, 400)
)


def tried(program: str) -> list[Command]:
    """Return the commands of a program, each once, whatever folder it is called from and how many cores it has."""
    found: dict[tuple[str, ...], Command] = {}
    for command in all_commands():
        if command.program == program and str(command) not in COMMANDS:
            words = [word for word in command.words[1:] if word not in WITHOUT]
            key = tuple(sorted(word for word in words if word not in {"-n", "--cores", "all", "1", "2", "4"}))
            found.setdefault(key, Command(command.page, (command.words[0], *words)))
    return list(found.values())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Return a copy of the repository with the files that a reader has."""
    place = checkout(tmp_path_factory.mktemp("place"))
    study = (ROOT / "config/demo.yaml").read_text(encoding="utf-8").replace("study: demo", "study: mine", 1)
    words = {word for command in all_commands() for word in command.words}
    for name in (word for word in words if re.fullmatch(r"[\w-]+\.yaml", word)):
        (place.folder / name).write_text(study, encoding="utf-8")
    (place.folder / "my.csv").write_text(POINTS, encoding="utf-8")
    return place


@pytest.mark.parametrize("command", tried("snakemake"), ids=str)
def test_snakemake_plans_it(command: Command, place: Workplace) -> None:
    status, output = place.dry(*command.words[1:])
    assert status == 0, output
    assert "This was a dry-run" in output or "digraph" in output


PLANNED = [one for one in tried("uprung") if one.words[1] in {"check", "run", "demo"} and "--help" not in one.words]


@pytest.mark.parametrize("command", PLANNED, ids=str)
def test_uprung_plans_it(command: Command, place: Workplace) -> None:
    if len(command.words) == 2 and command.words[1] != "demo":
        pytest.skip("the name of the command")
    words = list(command.words[1:])
    plan = [] if words[0] == "check" else ["-n"] if "--" in words else ["--", "-n"]
    done = subprocess.run(
        [sys.executable, "-m", "uprung", *words, *plan], cwd=place.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", [one for one in tried("python") if "pytest" in one.words], ids=str)
def test_pytest_collects_it(command: Command) -> None:
    words = [word for word in command.words[1:] if word != "-s"]
    python = ROOT / command.words[0] if command.words[0].startswith(".venv-mace") else Path(sys.executable)
    if not python.exists():
        pytest.skip(f"{command.words[0]} is not here")
    done = subprocess.run(
        [python, *words, "--collect-only", "-q"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


SCRIPTS = [
    script
    for script in sorted({one.words[1] for one in tried("python") if one.words[1].endswith(".py")})
    if "ArgumentParser(" in (ROOT / script).read_text(encoding="utf-8")
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_starts(script: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / script, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "usage" in done.stdout
