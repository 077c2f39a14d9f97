"""The command: a study from two files, checks, errors in a line."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from structures import atoms, write

from uprung.cli import main as command
from uprung.cli.new import new_study
from uprung.cli.workflow import rules_of
from uprung.config.load import load_study
from uprung.job.workflow import workflow_folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "pbe.xyz", "PBE", energy="REF_energy", forces="REF_forces")
    write(tmp_path / "high.extxyz", "r2SCAN")
    return tmp_path


def uprung(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    return int(ended.value.code or 0)


def test_a_study_of_two_files_fits_on_twenty_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert uprung("new", "pbe.xyz", "high.extxyz", "-o", "lithium.yaml", "--untimed") == 0
    told, text = capsys.readouterr().out, Path("lithium.yaml").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 20
    for words in (
        "60 structures of 17 elements; energy 60 (key REF_energy), forces 60 (key REF_forces)",
        "functional PBE, by the name of the file",
        "functional r2SCAN, assumed: change it in the study file if it is another",
        "pairs  60 (of 60 low and 60 high structures)",
        "split  42 structures for training",
        "cost   12 runs (2 arms × 3 sizes × 2 seeds) of 1,000 steps",
    ):
        assert words in told, told
    study = load_study(yaml.safe_load(text))
    assert study.study == "lithium"
    assert [study.fidelities[side].functional for side in ("low", "high")] == ["PBE", "r2SCAN"]
    assert study.fidelities["low"].sources[0].keys.energy.key == "REF_energy"
    assert study.fidelities["high"].sources[0].keys is None
    assert [str(size) for size in study.sizes] == ["10", "20", "all"]


def test_a_step_is_timed(folder: Path) -> None:
    made = new_study(folder / "pbe.xyz", folder / "high.extxyz", name="mine", command="")
    assert "s a step here, so about" in made.lines[-1]


def test_files_without_forces_or_many_materials_still_make_a_study(folder: Path) -> None:
    for name, functional in (("low.xyz", "PBE"), ("other.xyz", "r2SCAN")):
        structures = atoms(functional)
        for one in structures:
            del one.calc.results["forces"]
            one.info["material_id"] = "one"
        import ase.io

        ase.io.write(folder / name, structures, format="extxyz")
    made = new_study(folder / "low.xyz", folder / "other.xyz", name="mine", command="", timed=False)
    study = yaml.safe_load(made.text)
    assert study["transfer"] == {"targets": ["energy"]}
    assert study["split"] == {"group": "frame", "draw": "frame"}
    assert "the test is one of interpolation" in "\n".join(made.lines)


def test_a_check_tells_what_will_run(capsys: pytest.CaptureFixture[str]) -> None:
    uprung("new", "pbe.xyz", "high.extxyz", "-o", "mine.yaml", "--untimed")
    capsys.readouterr()
    assert uprung("check", "mine.yaml") == 0
    found = capsys.readouterr().out
    assert "12 runs; 2 arms: scratch, transfer; targets energy, force" in found
    assert "60 pairs; frames of high: 42 train, 6 val, 12 test" in found
    assert "63 jobs to do" in found


WRONG = {
    "no such study": (["check", "gone.yaml"], "gone.yaml: there is no such study file; `uprung new"),
    "no such file": (["new", "gone.xyz", "pbe.xyz"], "gone.xyz: there is no such file or folder"),
    "one file twice": (["new", "pbe.xyz", "pbe.xyz"], "one functional twice"),
    "options without a run": (["read", "pbe.xyz", "--", "-n"], "only `uprung run` and `uprung demo` take options"),
    "an unknown model": (["softening", "chgnet-9", "pbe.xyz"], "no checkpoint or file 'chgnet-9'"),
    "no set of this functional": (["read", "solids"], "allowed: 'PBE', 'r2SCAN'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, words = WRONG[case]
    assert uprung(*arguments) == 1
    told = capsys.readouterr().err
    assert told.startswith("uprung: ")
    assert words in told
    assert len(told.splitlines()) == 1


STUDY = "study: mine\ndata: {low: pbe.xyz, high: high.extxyz}\narms: {a: {init: random}}\nseeds: 1\nsteps: 10\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (STUDY + "size: [10]\n", "mine.yaml, line 6: size: unknown key"),
        (STUDY + "sizes: [10000]\n", "no 'energy', but 'REF_energy'"),
        (STUDY.replace("low: pbe.xyz", "low: gone.xyz") + "sizes: [10]\n", "file 'gone.xyz' does not exist"),
    ],
)
def test_a_check_finds_what_would_stop_the_first_jobs(
    text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.yaml").write_text(text, encoding="utf-8")
    assert uprung("check", "mine.yaml") == 1
    told = capsys.readouterr().err
    assert words in told or "REF_energy" in told
    assert "Traceback" not in told


def test_a_size_beyond_the_data_is_told_before_any_job(capsys: pytest.CaptureFixture[str]) -> None:
    uprung("new", "pbe.xyz", "high.extxyz", "-o", "mine.yaml", "--untimed")
    text = Path("mine.yaml").read_text(encoding="utf-8")
    Path("mine.yaml").write_text(text.replace("[10, 20, all]", "[10, 2000, all]"), encoding="utf-8")
    assert uprung("check", "mine.yaml") == 1
    assert "sizes: 2000 frames asked for, but the training split has 42" in capsys.readouterr().err


def test_a_study_file_is_not_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    Path("study.yaml").write_text("mine", encoding="utf-8")
    assert uprung("new", "pbe.xyz", "high.extxyz") == 1
    assert Path("study.yaml").read_text(encoding="utf-8") == "mine"
    assert uprung("new", "pbe.xyz", "high.extxyz", "--force", "--untimed") == 0
    assert "study: mine\n" in Path("study.yaml").read_text(encoding="utf-8")


def test_softening_and_references_from_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert uprung("softening", "chgnet-0.3.0", "high.extxyz", "-o", "slopes.csv") == 0
    assert "slope of predicted on labelled forces" in capsys.readouterr().out
    assert {"material", "slope", "reading"} <= set(pd.read_csv("slopes.csv"))
    assert uprung("rereference", "chgnet-0.3.0", "high.extxyz", "-o", "moved.pth.tar") == 0
    from uprung.models.registry import load

    assert not np.allclose(load("moved.pth.tar").references, load("chgnet-0.3.0").references)


def test_help_says_what_a_command_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert uprung("--help") == 0
    told = capsys.readouterr().out
    for name in ("new", "check", "run", "demo", "read", "softening", "rereference"):
        assert f"    {name}" in told
    assert uprung("new", "--help") == 0


def test_the_workflow_is_found_in_the_checkout() -> None:
    assert (workflow_folder() / "config/demo.yaml").is_file()


def test_a_shell_completes_commands_options_and_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert uprung("--print-completion", "bash") == 0
    Path("completion").write_text(capsys.readouterr().out, encoding="utf-8")

    def completed(*words: str) -> set[str]:
        line = f"source completion; COMP_WORDS=({' '.join(words)} ''); COMP_CWORD={len(words)}"
        asked = f"{line}; _shtab_uprung uprung '' {words[-1]}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        return set(subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True).stdout.split())

    assert {"new", "check", "run", "demo", "softening"} <= completed("uprung")
    assert {"pbe.xyz", "high.extxyz"} <= completed("uprung", "new")


def test_the_rules_behind_stages_are_those_that_the_study_has() -> None:
    uprung("new", "pbe.xyz", "high.extxyz", "-o", "lithium.yaml", "--untimed")
    given = yaml.safe_load(Path("lithium.yaml").read_text(encoding="utf-8"))
    physics = {"sets": ["own-mixing"]}
    repaired = {"softening": {"sets": ["solids"]}, "physics": {**physics, "repair": {"pools": ["solids-pbe"]}}}
    own = {"physics_model", "physics_run", "repair_physics"}
    for tests, expected in [
        ({}, set()),
        ({"physics": physics}, own - {"repair_physics"}),
        (repaired, own),
    ]:
        assert rules_of(load_study({**given, "tests": tests})) & own == expected
