"""What README and docs show is true: Python runs, YAML is read, commands ask for what is there, notebooks run.

Commands that take longer than a moment run in `tests/workflow/test_documented_commands.py`.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from pages import exceptions, studies
from pages.blocks import ROOT, Block, Command, all_commands, blocks, blocks_of, commands, commands_of, inline
from pages.commands import problems

DOCS = ROOT / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
sys.path.insert(0, str(DOCS / "notebooks"))

from execute import outputs_of  # noqa: E402 - beside the notebooks

#: Languages that something below, or the named test, holds to be true; the empty one is what a block before it prints.
KINDS = {"", "bash", "console", "python", "yaml"} | {
    "diff",  # tests/unit/test_extending.py
    "snakemake",  # tests/workflow/test_conventions.py
}
PYTHON_PAGES = sorted({block.page for block in blocks("python") if block.name not in exceptions.BLOCKS})


def alike(shown: str, found: str) -> bool:
    """Return whether two texts are the same words with numbers that agree to a part in a hundred."""
    number = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")
    if number.sub("#", shown.strip()) != number.sub("#", found.strip()):
        return False
    pairs = zip(number.findall(shown), number.findall(found), strict=True)
    return all(abs(float(a) - float(b)) <= 0.02 + 0.02 * abs(float(a)) for a, b in pairs)


def networks_of(text: str, folder: Path) -> None:
    """Put untrained networks where a page has those of a study that has run."""
    from uprung.models.registry import architecture

    for path in re.findall(r"results/[\w./-]+", text):
        kind = "tensornet" if ".export(" in text else "chgnet"
        file = path if path.endswith("model.pth.tar") else f"{path}/seed{{}}/model.pth.tar"
        for seed in (0, 1):
            target = folder / file.format(seed)
            target.parent.mkdir(parents=True, exist_ok=True)
            architecture(kind).new(seed).save(target, target="r2SCAN", source="PBE", corrects=None)


@pytest.mark.long
@pytest.mark.parametrize("page", PYTHON_PAGES)
def test_python_runs_and_prints_what_the_page_shows(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "page"}
    printed: str | None = None
    for block in blocks():
        if block.page != page or block.name in exceptions.BLOCKS:
            continue
        if block.kind == "python":
            networks_of(block.text, tmp_path)
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(block.text, page, "exec"), namespace)
            printed = out.getvalue()
        elif block.kind == "" and printed is not None:
            assert alike(block.text, printed), f"{block.text}\n---\n{printed}"
        else:
            printed = None


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.name)
def test_yaml_is_a_study_that_is_read(block: Block, tmp_path: Path) -> None:
    studies.check(block, tmp_path)


@pytest.mark.parametrize("command", all_commands(), ids=lambda command: f"{command.page}: {command}")
def test_a_command_asks_for_what_is_there(command: Command) -> None:
    if str(command) not in exceptions.COMMANDS:
        assert not problems(command)


def test_every_block_is_of_a_language_that_is_held() -> None:
    assert not [block.name for block in blocks() if block.kind not in KINDS]
    before = ""
    for block in blocks():  # nothing is printed by nothing
        if block.kind == "" and block.name not in exceptions.BLOCKS:
            assert before in {"python", "bash", "console"}, block.name
        before = block.kind or before
    assert len(blocks()) > 50


def test_what_is_left_out_is_still_there_and_why_is_said() -> None:
    assert set(exceptions.BLOCKS) <= {block.name for block in blocks()}
    assert set(exceptions.COMMANDS) <= {str(command) for command in all_commands()}
    assert all(len(why.split()) > 3 for why in [*exceptions.BLOCKS.values(), *exceptions.COMMANDS.values()])


@pytest.mark.parametrize(
    "line",
    [
        "make demos",
        "make -j --no-such-option demo",
        "snakemake --cores 4 no_such_stage",
        "snakemake --cors 4",
        "snakemake --configfile config/gone.yaml",
        "snakemake --workflow-profile profiles/gone",
        "uprung nem a.xyz b.xyz",
        "uprung run mine.yaml --kores 4",
        "uprung run mine.yaml -- --no-such-option",
        "python benchmarks/gone.py",
        "python benchmarks/graphs.py --no-such-option",
        "python -m pytest tests/unit/test_gone.py",
        'python -m pytest tests/unit -m "not slwo"',
        "pip install '.[gone]'",
        "pip install gpaw==0.0.1",
        "pip install -r gone.lock",
        "ruff check src/gone",
        "export NO_SUCH_VARIABLE=1",
        "$EDITOR profiles/gone.yaml",
        "unheard-of --help",
        "python -m unheard.of",
        "tensorboard --log results",
    ],
)
def test_a_command_that_is_wrong_is_found(line: str) -> None:
    (command,) = commands_of(line, "a page")
    assert problems(command)


@pytest.mark.parametrize(
    "text", ["scaling: {lawz: 1}\n", "study: mine\nsteps: 0100\n", "groups: {no_rule: a}\ngroup-components: {a: 1}\n"]
)
def test_yaml_that_is_wrong_is_found(text: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, AssertionError)):
        studies.check(Block("a page", "yaml", text), tmp_path)


def test_blocks_and_commands_are_found_wherever_they_stand() -> None:
    page = (
        "see `make demo`\n1. so:\n\n   ```bash\n   A=1 make demo && uprung check \\\n     x # why\n   ```\n"
        "\n```console\n$ ls | wc\n3\n```\n"
    )
    first, second = blocks_of(page, "p")
    assert first.text.startswith("A=1 make")
    assert [str(command) for command in commands(first)] == ["make demo", "uprung check x"]
    assert [str(command) for command in commands(second)] == ["ls", "wc"]
    assert [str(command) for command in inline(page, "p")] == ["make demo"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_prints_what_it_shows(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    shown = ["".join(out.get("text", out.get("data", {}).get("text/plain", ""))) for cell in cells
             if cell["cell_type"] == "code" for out in cell["outputs"]]  # fmt: skip
    found = [text for outputs in outputs_of(cells) for text in outputs]
    assert shown, "the notebook has no output: run docs/notebooks/execute.py"
    assert len(shown) == len(found)
    for one, other in zip(shown, found, strict=True):
        assert alike(one, other), f"{one}\n---\n{other}"
