"""Short forms of a study file: what they stand for, and messages that name what the user wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from uprung.config.docs import FIRST_STUDY
from uprung.config.load import StudyError, _keys_at, load_study
from uprung.config.replaced import REPLACED
from uprung.config.short import format_of, presets
from uprung.config.study import Study

ROOT = Path(__file__).parents[3]


@pytest.fixture
def first() -> dict[str, Any]:
    study: dict[str, Any] = yaml.safe_load(FIRST_STUDY)
    return study


def loaded(study: dict[str, Any]) -> Study:
    found = load_study(study)
    assert isinstance(found, Study)
    return found


def refused(study: dict[str, Any]) -> str:
    """Return the one line with which a study file is refused."""
    with pytest.raises(StudyError) as caught:
        load_study(study, where="mine.yaml")
    (line,) = str(caught.value).splitlines()
    return line.removeprefix("mine.yaml: ")


def test_a_first_study_fits_on_a_screen_and_says_the_same_as_its_long_form(first: dict[str, Any]) -> None:
    assert len(FIRST_STUDY.splitlines()) <= 20
    assert FIRST_STUDY in (ROOT / "README.md").read_text()
    source = {"format": "ase", "file": "pbe.extxyz", "label_scale": "not stated (pbe.extxyz)"}
    target = {"format": "ase", "file": "r2scan.extxyz", "label_scale": "not stated (r2scan.extxyz)"}
    long = {
        "study": "mine",
        "fidelities": {
            "low": {"functional": "PBE", "sources": [source]},
            "high": {"functional": "r2SCAN", "sources": [target]},
        },
        "pairs": {"low-high": {"low": "low", "high": "high"}},
        "architecture": "chgnet-0.3.0",
        "transfer": {"pair": "low-high", "targets": ["energy", "force"]},
        "arms": {
            "scratch": {"init": "random", "references": "target"},
            "transfer": {"init": "pretrained", "references": "residual"},
        },
        "sizes": [100, 400, "all"],
        "seeds": [0, 1, 2],
        "budgets": {"steps2000": {"steps": 2000}},
    }
    assert loaded(first) == loaded(long)


def test_a_side_of_the_data_may_say_more_and_the_pair_as_well(first: dict[str, Any]) -> None:
    low = {"file": "runs/", "functional": "PBEsol", "energy": "energy_free", "exclude_elements": ["Yb"]}
    high = {"file": "mp.json.gz", "format": "mp-r2scan"}
    study = loaded(first | {"data": {"low": low, "high": high, "match": "material", "note": "Mine."}})
    fidelity = study.fidelities["low"]
    assert (fidelity.functional, fidelity.energy, fidelity.sources[0].format) == ("PBEsol", "energy_free", "vasprun")
    assert fidelity.sources[0].exclude_elements == ["70"]
    assert study.fidelities["high"].sources[0].label_scale is None  # the published set has its own
    assert (study.pairs["low-high"].match, study.pairs["low-high"].note) == ("material", "Mine.")
    downloaded = loaded(first | {"data": {"low": {"download": True}, "high": {"download": True}}})
    assert downloaded.fidelities["high"].download


def test_sections_beside_a_preset_vary_it(first: dict[str, Any]) -> None:
    more = {"fidelities": {"other": {"functional": "PBE", "download": True}}, "transfer": {"targets": ["force"]}}
    study = loaded(first | {"data": "dimers"} | more)
    assert list(study.fidelities) == ["pbe", "r2scan", "other"]
    assert (study.transfer.targets, study.transfer.select.max_force) == (["force"], 10.0)
    assert loaded(first | {"data": "dimers"}).transfer.targets == ["energy", "force"]  # the preset is as it was


@pytest.mark.parametrize("preset", presets()["data"])
def test_presets_of_data_are_whole_and_their_files_exist(first: dict[str, Any], preset: str) -> None:
    study = loaded(first | {"data": preset})
    files = [source.file for fidelity in study.fidelities.values() for source in fidelity.sources]
    assert files
    assert all((ROOT / file).exists() for file in files)


def test_sets_are_presets_and_own_ones(first: dict[str, Any]) -> None:
    own = {"functional": "PBE", "sources": [{"format": "mlearn", "file": "data/mlearn/Li_test.json.gz"}]}
    first["tests"] = {"softening": {"sets": ["mlearn", "solids", {"own": own}], "runs": "none"}}
    softening = loaded(first).tests.softening
    assert list(softening.sets) == ["mlearn", "solids-pbe", "solids-r2scan", "own"]
    assert softening.runs == "none"
    for entry in softening.sets.values():
        assert all((ROOT / source.file).exists() for source in entry.sources)
    first["tests"] = {"softening": {"sets": ["mlern"]}}
    assert "'mlern' is no preset; did you mean 'mlearn'?" in refused(first)


def test_sets_of_physics_are_presets_and_own_ones(first: dict[str, Any]) -> None:
    own = {"test": "vacancies", "functional": "PBE", "files": ["data/physics/vacancies-fcc.csv"], "materials": ["Al"]}
    first["tests"] = {
        "physics": {"sets": ["surfaces", {"phonons": {"most": 1}}, {"own": own}]},
        "softening": {"sets": ["mlearn"]},
    }
    tests = loaded(first).tests
    assert tests.physics is not None
    assert list(tests.physics.sets) == ["surfaces", "phonons", "own"]
    assert list(tests.softening.sets) == ["mlearn"]
    varied = tests.physics.sets["phonons"]
    assert (varied.most, varied.test, bool(varied.caveat)) == (1, "phonons", True)
    assert tests.physics.tested("chgnet-r2scan") == ["chgnet-0.3.0", "chgnet-r2scan"]
    for entry in tests.physics.sets.values():
        assert all((ROOT / file).exists() for file in entry.files)
    first["tests"] = {"physics": {"sets": ["surfces"]}}
    assert "tests.physics.sets: 'surfces' is no preset; did you mean 'surfaces'?" in refused(first)
    first["tests"] = {"physics": {"sets": []}}
    assert "tests.physics.sets" in refused(first)
    first["tests"] = {"physics": {"sets": {"own": own | {"test": "surface"}}}}
    assert "tests.physics.sets.own.test" in refused(first)


def test_a_repair_names_pools_and_sets_that_are_there(first: dict[str, Any]) -> None:
    repair: dict[str, Any] = {"pools": ["solids-pbe"]}
    physics = {"sets": ["volumes", "surfaces", "own-mixing-r2scan"], "repair": repair}
    first["tests"] = {"softening": {"sets": ["solids", "mlearn"]}, "physics": physics}
    found = loaded(first).tests.physics
    assert found is not None
    assert found.repaired("PBE") == ["volumes", "surfaces"]
    assert found.tuned("PBE") == ["surfaces"]  # its cells are evaluated as they are
    assert found.tuned("r2SCAN") == ["own-mixing-r2scan"]
    repair |= {"fine_tuned": []}
    tuned = loaded(first).tests.physics
    assert tuned is not None
    assert tuned.tuned("PBE") == []
    for wrong, why in [
        ({"pools": ["solids"]}, "no set of tests.softening.sets named 'solids'; did you mean 'solids-pbe'?"),
        ({"pools": ["solids-pbe", "mlearn"]}, "mlearn is the second one of PBE; give one for each functional"),
        ({"pools": ["solids-pbe"], "fine_tuned": ["surface"]}, "no set of tests.physics named 'surface'"),
        ({"pools": ["solids-pbe"], "fine_tuned": ["own-mixing-r2scan"]}, "is of r2SCAN, of which no pool has labels"),
    ]:
        first["tests"]["physics"]["repair"] = wrong
        assert why in refused(first)
    first["tests"]["physics"] = {"sets": ["volumes"], "repair": {"pools": ["solids-r2scan"]}}
    assert "solids-r2scan has labels of r2SCAN, but the sets of tests.physics are of PBE" in refused(first)


def test_without_runs_the_untouched_network_is_not_added(first: dict[str, Any]) -> None:
    first["tests"] = {"physics": {"sets": ["volumes"], "models": ["chgnet-r2scan"], "runs": "none"}}
    physics = loaded(first).tests.physics
    assert physics is not None
    assert physics.tested("chgnet-0.3.0") == ["chgnet-r2scan"]
    largest = physics.model_copy(update={"runs": "largest"})
    assert largest.tested("chgnet-0.3.0") == ["chgnet-r2scan", "chgnet-0.3.0"]


def test_lengths_are_budgets(first: dict[str, Any]) -> None:
    study = loaded(first | {"steps": [10, 20], "epochs": 5, "budgets": {"own": {"steps": 7, "keep": "val-loss"}}})
    assert list(study.budgets) == ["steps10", "steps20", "epochs5", "own"]
    assert study.budgets["epochs5"].epochs == 5


@pytest.mark.parametrize(
    ("file", "format"),
    [
        ("a.extxyz", "ase"),
        ("a.b.xyz.gz", "ase"),
        ("a.db", "ase"),
        ("frames.parquet", "frames"),
        ("runs", "vasprun"),
        ("runs/", "vasprun"),
        ("vasprun.xml.relax2.gz", "vasprun"),
        ("MPtrj_2022.9_full.json", None),
        ("a.json.gz", None),
    ],
)
def test_the_format_follows_from_the_name(file: str, format: str | None) -> None:
    assert format_of(file) == format


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": "dimer"}, ["data: 'dimer' is neither", "did you mean 'dimers'?", "dimers, solids"]),
        ({"data": 5}, ["data: 5 is neither"]),
        ({"data": {"low": "a.xyz"}}, ["data.high: this key is required"]),
        ({"data": {"low": "a.json", "high": "b.xyz"}}, ["data.low.format", "'a.json'", "mptrj", "vasprun"]),
        ({"data": {"low": 3, "high": "b.xyz"}}, ["data.low: 3 is neither a file nor"]),
        ({"data": {"low": {"fil": "a", "download": True}, "high": "b.xyz"}}, ["data.low.fil: unknown key", "'file'"]),
        ({"data": {"low": {"file": 3}, "high": "b.xyz"}}, ["data.low.format: this key is required"]),
        ({"data": {"low": "a.xyz", "high": "b.xyz", "mach": 1}}, ["data.mach: unknown key", "'match'"]),
        ({"data": {"low": {"computed": True}, "high": "b.xyz"}}, ["data.low: `computed: true` needs"]),
        ({"data": {"low": {"energy": "E"}, "high": "b.xyz"}}, ["data.low.energy: 'E' is not allowed"]),
        ({"steps": "many"}, ["steps: 'many' is not a number of steps"]),
        ({"steps": True}, ["steps: True is not a number of steps"]),
        ({"epochs": [5, 0]}, ["epochs: 0 is not a number of epochs"]),
        ({"stps": 5}, ["stps: unknown key", "did you mean 'steps'?"]),
    ],
)
def test_a_message_names_what_the_user_wrote(first: dict[str, Any], changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(StudyError) as caught:
        load_study(first | changes)
    line = str(caught.value).splitlines()[0]
    assert [word for word in words if word not in line] == [], line


def test_what_is_missing_is_told_in_its_short_form(first: dict[str, Any]) -> None:
    del first["data"]
    assert refused(first) == "data: this key is required"
    del (own := first | {"data": "dimers"})["steps"]
    assert refused(own) == "steps: this key is required"


OLD_VALUES = {"arms.*.atomref": {"fit": "target"}}


@pytest.mark.parametrize("old", REPLACED)
def test_an_old_key_names_the_new_one(first: dict[str, Any], old: str) -> None:
    value: Any = OLD_VALUES.get(old, {})
    for key in reversed(old.replace("*", "x").split(".")):
        value = {key: value}
    message = f"{old}: replaced by `{REPLACED[old]}`".replace("*", "x")
    assert refused({"study": "mine", **value}) == message.replace("`arms.x.references`", "`references: target`")


@pytest.mark.parametrize("old", REPLACED)
def test_the_new_key_exists_and_the_old_one_does_not(old: str) -> None:
    for dotted, exists in ((REPLACED[old], True), (old, False)):
        *path, key = dotted.split(".")
        assert (key in _keys_at(path, Study)) is exists


@pytest.mark.parametrize(
    ("atomref", "words"),
    [
        ({"fit": "residual"}, "`references: residual`"),
        ({"from": "checkpoint"}, "`references: checkpoint`"),
        ({"from": "checkpoint", "trainable": True}, "`references: checkpoint, references_trainable: true`"),
    ],
)
def test_an_old_arm_is_told_in_its_new_form(first: dict[str, Any], atomref: dict[str, Any], words: str) -> None:
    first["arms"]["transfer"] = {"init": "pretrained", "atomref": atomref}
    assert refused(first) == f"arms.transfer.atomref: replaced by {words}"
