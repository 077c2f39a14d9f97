from __future__ import annotations

import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from uprung.config.base import parse_elements
from uprung.config.load import StudyError, find_file, load_study
from uprung.config.points import PointsStudy
from uprung.config.study import Study
from uprung.dft.labels import Scheme
from uprung.figures.style import COLOURS

ROOT = Path(__file__).parents[3]
STUDIES = [p for p in sorted((ROOT / "config").glob("*.yaml")) if "study" in yaml.safe_load(p.read_text())]


@pytest.fixture
def study() -> dict[str, Any]:
    source = {"format": "diatomics", "file": "data/diatomics/diatomics-dft.json.gz"}
    return {
        "study": "small",
        "fidelities": {
            "pbe": {"functional": "PBE", "sources": [source.copy()]},
            "r2scan": {"functional": "r2SCAN", "sources": [source]},
        },
        "pairs": {"dimers": {"low": "pbe", "high": "r2scan"}},
        "transfer": {"pair": "dimers"},
        "arms": {
            "scratch": {"init": "random", "references": "target"},
            "residual-ref": {"init": "pretrained", "references": "residual"},
        },
        "sizes": [100, "all"],
        "seeds": [0, 1],
        "budgets": {"short": {"steps": 10}},
    }


def refused(data: dict[str, Any]) -> list[str]:
    """Return the lines of the message with which a study file is refused."""
    with pytest.raises(StudyError) as caught:
        load_study(data, where="config/small.yaml")
    lines = str(caught.value).splitlines()
    assert all(line.startswith("config/small.yaml: ") for line in lines)
    return [line.removeprefix("config/small.yaml: ") for line in lines]


def put(data: dict[str, Any], key: str, value: object) -> dict[str, Any]:
    """Return the study with one dotted key changed."""
    data = copy.deepcopy(data)
    node: Any = data
    *path, last = key.split(".")
    for part in path:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    node[last] = value
    return data


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_study_files_of_the_repository_load_and_their_data_exist(path: Path) -> None:
    study = load_study(yaml.safe_load(path.read_text(encoding="utf-8")), where=path.name)
    if isinstance(study, PointsStudy):
        assert find_file(study.points, [ROOT], key="x") == study.points
        return
    for fidelity in study.fidelities.values():
        for source in fidelity.sources:
            if source.file.startswith("downloads/"):  # published files, which the head of the study file names
                assert Path(source.file).name in path.read_text(encoding="utf-8").split("study:")[0]
            else:
                assert find_file(source.file, [ROOT], key="x") == source.file


def test_a_study_of_given_points_has_its_own_keys() -> None:
    assert isinstance(load_study({"study": "mine", "points": "my.csv"}), PointsStudy)
    with pytest.raises(StudyError, match="fidelities: unknown key"):
        load_study({"study": "mine", "points": "my.csv", "fidelities": {}})
    with pytest.raises(StudyError, match=r"laws.law: 'cubic' is not allowed.*power"):
        load_study({"study": "mine", "points": "my.csv", "laws": {"law": "cubic"}})


def test_there_is_a_default_study() -> None:
    assert "demo" in [path.stem for path in STUDIES]


def test_defaults_are_the_published_recipe(study: dict[str, Any]) -> None:
    loaded = load_study(study)
    recipe = loaded.training
    assert (recipe.batch_size, recipe.learning_rate, recipe.final_learning_rate) == (64, 1e-3, 1e-5)
    assert recipe.huber_delta == 0.1
    assert recipe.weights.model_dump() == {"energy": 3.0, "force": 1.0, "stress": 0.1, "magmom": 1.0}
    assert (loaded.low, loaded.high) == ("pbe", "r2scan")
    assert loaded.sizes == ["100", "all"]
    assert set(loaded.references) == {"target", "source", "residual"}


def test_own_reference_keeps_the_three_default_ones(study: dict[str, Any]) -> None:
    loaded = load_study(put(study, "references", {"whole": {"labels": "target", "scope": "train"}}))
    assert set(loaded.references) == {"target", "source", "residual", "whole"}


def test_one_file_for_both_fidelities_is_refused_unless_stated(study: dict[str, Any]) -> None:
    study = put(study, "fidelities.r2scan.functional", "pbe")
    study = put(study, "fidelities.r2scan.sources.0.file", "./data/diatomics/../diatomics/diatomics-dft.json.gz")
    (line,) = refused(study)
    assert line.startswith("pairs.dimers: pbe and r2scan both read PBE from data/diatomics/diatomics-dft.json.gz")
    assert load_study(put(study, "pairs.dimers.identical_labels", True)).pairs["dimers"].identical_labels


def test_checkpoint_kept_follows_the_kind_of_budget(study: dict[str, Any]) -> None:
    budgets = {"s": {"steps": 5}, "e": {"epochs": 5}, "k": {"epochs": 5, "keep": "last"}}
    kept = {name: budget.keep for name, budget in load_study(put(study, "budgets", budgets)).budgets.items()}
    assert kept == {"s": "last", "e": "val-energy", "k": "last"}


@pytest.mark.parametrize(
    ("key", "value", "parts"),
    [
        ("sises", [1], ["sises: unknown key", "did you mean 'sizes'?", "budgets"]),
        ("training.learnin_rate", 0.1, ["training.learnin_rate: unknown key", "did you mean 'learning_rate'?"]),
        ("training.weights.forces", 1.0, ["training.weights.forces", "'force'", "energy, force, stress, magmom"]),
        ("fidelities.pbe.sources.0.fil", "x", ["fidelities.pbe.sources.0.fil: unknown key", "'file'"]),
        (
            "arms.scratch.freeze",
            True,
            ["arms.scratch.freeze: unknown key", "(allowed: init, references, references_trainable, trainable, l2_sp,"],
        ),
        (
            "arms.scratch.init",
            "randm",
            ["arms.scratch.init: no initial weights named 'randm'", "(allowed: random, pretrained)"],
        ),
        ("arms.new", {}, ["arms.new.references: this key is required unless `init: random`"]),
        ("arms.new", {"init": "randm"}, ["arms.new.references: this key is required unless `init: random`"]),
        ("arms.scratch.references", "checkpoint", ["arms.scratch: `init: random` has no checkpoint", "target"]),
        ("arms.scratch.references", "residual", ["arms.scratch: a residual", "`init: pretrained`"]),
        ("arms.scratch.references", "taget", ["arms.scratch.references", "'taget'", "did you mean 'target'?"]),
        ("references", {"checkpoint": {"labels": "target"}}, ["references.checkpoint: this name is reserved"]),
        ("pairs.dimers.low", "pbesol", ["pairs.dimers.low: no fidelity named 'pbesol'", "(allowed: pbe, r2scan)"]),
        (
            "pairs.dimers.low",
            "r2scan",
            ["pairs.dimers: low and high are both 'r2scan'; a pair compares two fidelities"],
        ),
        ("pairs.dimers.match", "cell", ["pairs.dimers.match: 'cell'", "(allowed: geometry, material)"]),
        ("transfer.pair", "dimer", ["transfer.pair: no pair named 'dimer'", "did you mean 'dimers'?"]),
        ("transfer.targets", ["energy", "dipole"], ["transfer.targets.1: 'dipole'", "energy, force, stress, magmom"]),
        ("transfer.targets", ["energy", "energy"], ["transfer.targets: energy given more than once"]),
        ("scaling.baseline", "residual", ["scaling.baseline", "alone predicts nothing"]),
        (
            "references",
            {"r": {"labels": "target", "strength": 1.0}},
            ["references.r: `strength` means nothing to `estimator: least-squares`"],
        ),
        (
            "references",
            {"r": {"labels": "target", "estimator": "elemental-solid"}},
            ["references.r: `estimator: elemental-solid` needs `elements: <fidelity>`"],
        ),
        (
            "references",
            {"r": {"labels": "residual", "estimator": "isolated-atom", "elements": "r2scan"}},
            ["references.r: `estimator: isolated-atom` gives energies of the target"],
        ),
        (
            "references",
            {"r": {"labels": "source", "estimator": "prior-ridge"}},
            ["references.r: `estimator: prior-ridge` leans on source references"],
        ),
        (
            "references",
            {"r": {"labels": "target", "estimator": "isolated-atom", "elements": "atoms"}},
            ["references.r.elements: no fidelity named 'atoms'", "(allowed: pbe, r2scan)"],
        ),
        (
            "references",
            {"r": {"labels": "target", "estimator": "isolated-atom", "elements": "pbe"}},
            ["references.r.elements: pbe has functional 'PBE'", "r2scan has 'r2SCAN'"],
        ),
        ("references", {"r": {"labels": "target", "estimator": "lasso"}}, ["references.r.estimator: 'lasso'", "huber"]),
        ("references", {"r": {"labels": "target", "unseen": "zero"}}, ["references.r.unseen: 'zero'", "source, error"]),
        ("scaling.baseline", "mean", ["scaling.baseline: no reference named 'mean'", "target, source, residual"]),
        (
            "fidelities.pbe.energy",
            "total",
            ["fidelities.pbe.energy: 'total'", "energy, energy_free, energy+correction"],
        ),
        ("seeds", [0, 1, 0], ["seeds: 0 given more than once"]),
        ("sizes", [100, "100"], ["sizes: 100 given more than once"]),
        ("seeds", "0", ["seeds: '0'", "list"]),
        ("seeds", 0, ["seeds: 0 is not a number of seeds from 1 to 1000"]),
        ("seeds", 10**12, ["is not a number of seeds from 1 to 1000; single seeds are a list"]),
        ("seeds", [], ["seeds: []", "at least 1"]),
        ("seeds", [-1], ["seeds.0: -1", "greater than or equal to 0"]),
        ("training.batch_size", "many", ["training.batch_size: 'many'", "integer"]),
        ("training.learning_rate", 0, ["training.learning_rate: 0", "greater than 0"]),
        ("budgets.short", {"steps": 5, "epochs": 5}, ["budgets.short: give exactly one of `epochs` and `steps`"]),
        ("budgets.short", {}, ["budgets.short: give exactly one of `epochs` and `steps`"]),
        ("arms.scratch.trainable", "readout", ["arms.scratch", "would freeze random weights"]),
        ("arms.residual-ref.trainable", "some", ["arms.residual-ref.trainable", "all-but-embeddings"]),
        ("arms.scratch.l2_sp", 0.1, ["arms.scratch", "`l2_sp` would pull towards random weights"]),
        ("arms.scratch.fidelities", "joint", ["arms.scratch", "give `replay: 0.5`"]),
        ("arms.scratch.replay", 1.5, ["arms.scratch.replay.fraction", "less than 1"]),
        ("arms.scratch.replay", True, ["arms.scratch.replay"]),
        ("arms.scratch.delta", True, ["arms.scratch", "needs a residual reference (residual)"]),
        ("arms.residual-ref.delta", True, ["arms.residual-ref", "`delta: true` needs `init: random`"]),
        ("arms.residual-ref.init", "pretraind", ["arms.residual-ref.init: no initial weights named", "'pretrained'"]),
        ("references.r", {"labels": "target", "model": "x"}, ["references.r", "`model` means nothing"]),
        ("references.r", {"labels": "residual", "model": "x"}, ["references.r.model: no pretrained network named 'x'"]),
        ("pretraining.random", {"steps": 5}, ["pretraining.random: this name is reserved"]),
        ("pretraining.own", {"steps": 5, "epochs": 2}, ["pretraining.own: give exactly one of `epochs` and `steps`"]),
        ("split", {"group": "frame"}, ["split: `group: frame`", "needs `draw: frame`"]),
        ("study", "my study", ["study: 'my study' is not a usable name", "letters and digits"]),
        ("study", "a--b", ["'a--b' is not a usable name"]),
        ("study", "../up", ["'../up' is not a usable name"]),
        ("fidelities.pbe.sources.0.exclude_elements", ["Xx"], ["exclude_elements: 'Xx'", "element symbol"]),
        ("fidelities.pbe.sources.0.exclude_elements", ["71-58"], ["exclude_elements: '71-58'", "1-94"]),
        ("fidelities.pbe.sources.0.exclude_elements", ["95-"], ["exclude_elements: '95-'", "1-94"]),
        ("fidelities.pbe.sources", [], ["fidelities.pbe", "one of `sources`, `download` and `computed`"]),
        ("fidelities.pbe.computed", True, ["fidelities.pbe", "one of `sources`, `download` and `computed`"]),
        ("own_dft", {"structures": "x.cif"}, ["own_dft: unused; give `computed: true` in a fidelity or `snapshots`"]),
        (
            "tests.softening.sets.hot",
            {"functional": "PBE"},
            ["tests.softening.sets.hot: give exactly one of `sources` and `snapshots`"],
        ),
        (
            "tests.softening.sets.hot",
            {"functional": "PBE", "computed": True},
            ["computed: unknown key", "(allowed: functional, energy, sources, snapshots)"],
        ),
        (
            "tests.softening.sets.hot",
            {"functional": "SCAN", "snapshots": "hot"},
            ["`snapshots` is for PBE or r2SCAN, not 'SCAN'"],
        ),
    ],
)
def test_a_mistake_is_told_with_file_key_and_choices(
    study: dict[str, Any], key: str, value: object, parts: list[str]
) -> None:
    (line,) = refused(put(study, key, value))
    for part in parts:
        assert part in line


def test_bad_name_of_an_arm(study: dict[str, Any]) -> None:
    (line,) = refused(put(study, "arms", {"my_arm": study["arms"]["scratch"]}))
    assert line.startswith("arms.my_arm: 'my_arm' is not a usable name")


@pytest.mark.parametrize("size", [0, -5, "0", "ten", "1.5", "0%", "0.0%", "101%", "-1%", "all "])
def test_bad_sizes(study: dict[str, Any], size: object) -> None:
    (line,) = refused(put(study, "sizes", [50, size]))
    assert line.startswith(f"sizes.1: {size!r} is not a size: give a number of frames (400), a share")


def test_shares_need_materials_to_draw_from(study: dict[str, Any]) -> None:
    shares = put(study, "sizes", ["0.1%", "100%"])
    assert load_study(shares).sizes == ["0.1%", "100%"]
    (line,) = refused(put(shares, "split", {"group": "frame", "draw": "frame"}))
    assert line.startswith("sizes: a share of the training materials needs `split: {draw: material}`")


def test_the_best_energy_cannot_be_kept_when_no_energy_is_learnt(study: dict[str, Any]) -> None:
    forces = put(study, "transfer.targets", ["force"])
    load_study(forces)
    (line,) = refused(put(forces, "budgets.long", {"epochs": 3}))
    assert line.startswith("budgets.long.keep: val-energy needs energy in transfer.targets")


def test_missing_keys(study: dict[str, Any]) -> None:
    study["pairs"]["again"] = study["pairs"]["dimers"]
    del study["arms"], study["transfer"]["pair"], study["fidelities"]["pbe"]["functional"], study["budgets"]
    assert sorted(refused(study)) == [
        "arms: this key is required",
        "fidelities.pbe.functional: this key is required",
        "steps: this key is required",
        "transfer.pair: this key is required",
    ]
    del study["pairs"]
    assert "pairs: this key is required" in refused(study)
    assert "data: this key is required" in refused({"study": "mine"})


def test_every_problem_of_a_file_is_told_at_once(study: dict[str, Any]) -> None:
    study["colour"] = "blue"
    study["seeds"] = [1, 1]
    study["sizes"] = [100, "many"]
    study["arms"]["scratch"]["trainable"] = "some"
    study["training"] = {"batch_size": 0}
    study["split"] = {"group": "frame"}
    lines = refused(study)
    keys = {line.split(":")[0] for line in lines}
    assert keys == {"colour", "seeds", "sizes.1", "arms.scratch.trainable", "training.batch_size", "split"}
    assert len(lines) == 6


def computed(study: dict[str, Any], **changes: object) -> dict[str, Any]:
    """Return the study with computed labels."""
    fidelities = {
        "pbe": {"functional": "PBE", "computed": True},
        "r2scan": {"functional": "r2SCAN", "computed": True} | changes,
    }
    return study | {"fidelities": fidelities, "own_dft": {"structures": "mine.extxyz"}}


def test_a_study_may_compute_its_labels(study: dict[str, Any]) -> None:
    loaded = load_study(computed(study))
    assert loaded.own_dft is not None
    fields = asdict(Scheme(**loaded.own_dft.scheme("r2SCAN")))
    assert fields == asdict(Scheme("r2SCAN"))  # the defaults of both are those of the embedded solids


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"functional": "SCAN"}, "functional: `computed` is for PBE or r2SCAN, not 'SCAN'"),
        ({"energy": "energy+correction"}, "energy: computed labels have no correction (allowed: energy, energy_free)"),
        ({"download": True}, "give exactly one of `sources`, `download` and `computed`"),
    ],
)
def test_what_cannot_be_computed_is_told(study: dict[str, Any], changes: dict[str, object], message: str) -> None:
    assert refused(computed(study, **changes)) == [f"fidelities.r2scan: {message}"]


def test_computed_labels_need_their_section(study: dict[str, Any]) -> None:
    content = computed(study)
    del content["own_dft"]
    assert refused(content) == ["fidelities.pbe: `computed: true` needs the section `own_dft`"]


def hot(study: dict[str, Any]) -> dict[str, Any]:
    sets = {"hot-pbe": {"functional": "PBE", "snapshots": "hot"}}
    softening = {"sets": sets, "snapshots": {"hot": {"structures": "crystals.extxyz"}}}
    return study | {"tests": {"softening": softening}, "own_dft": {}}


def test_a_study_may_label_snapshots_that_it_samples(study: dict[str, Any]) -> None:
    assert load_study(hot(study)).tests.softening.sets["hot-pbe"].labelled_here


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("own_dft", None, "tests.softening.sets.hot-pbe: `snapshots` needs the section `own_dft`, which may be empty"),
        ("own_dft.structures", "x.cif", "own_dft.structures: belongs to `computed: true` of a fidelity"),
        ("tests.softening.snapshots", {}, "tests.softening.sets.hot-pbe.snapshots: no snapshots named 'hot'"),
    ],
)
def test_snapshots_to_be_labelled_need_structures_and_a_method(
    study: dict[str, Any], key: str, value: object, message: str
) -> None:
    (line,) = refused(put(hot(study), key, value))
    assert line.startswith(message)


def test_computed_labels_need_structures(study: dict[str, Any]) -> None:
    content = computed(study) | {"own_dft": {}}
    assert refused(content) == ["own_dft.structures: belongs to `computed: true` of a fidelity; give both or neither"]


def test_every_wrong_name_is_told_at_once(study: dict[str, Any]) -> None:
    study["pairs"]["dimers"] = {"low": "pbx", "high": "scan"}
    study["arms"]["scratch"]["references"] = "residual"
    study["transfer"]["pair"] = "solids"
    keys = [line.split(":")[0] for line in refused(study)]
    assert keys == ["pairs.dimers.low", "pairs.dimers.high", "transfer.pair", "arms.scratch"]


def test_find_file_looks_in_every_folder_and_says_where(tmp_path: Path) -> None:
    here, there = tmp_path / "run", tmp_path / "repository"
    here.mkdir()
    there.mkdir()
    (there / "x.gz").touch()
    assert find_file("x.gz", [here, there], key="k") == str(there / "x.gz")
    (here / "x.gz").touch()
    assert find_file("x.gz", [here, there], key="k") == "x.gz"
    with pytest.raises(StudyError, match=r"demo\.yaml: fidelities\.pbe: file 'y\.gz' does not exist") as caught:
        find_file("y.gz", [here, there], key="demo.yaml: fidelities.pbe")
    assert str(here) in str(caught.value)
    assert str(there) in str(caught.value)


def test_braces_in_a_file_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x{1}.gz").touch()
    with pytest.raises(StudyError, match=r"k: file 'x\{1\}\.gz': Snakemake takes braces"):
        find_file("x{1}.gz", [tmp_path], key="k")


def test_parse_elements() -> None:
    assert parse_elements(["Yb", "58-60", "92-", "1"]) == {70, 58, 59, 60, 92, 93, 94, 1}
    assert parse_elements([]) == frozenset()


def test_schema_names_every_section_and_describes_every_key() -> None:
    schema = Study.model_json_schema(by_alias=True)
    assert set(schema["required"]) == {"study", "fidelities", "pairs", "transfer", "arms", "sizes", "seeds", "budgets"}
    for section in [schema, *schema["$defs"].values()]:
        assert section["additionalProperties"] is False
        for name, entry in section["properties"].items():
            described = schema["$defs"].get(entry.get("$ref", "").rsplit("/", 1)[-1], entry)
            assert entry.get("description") or described.get("description"), name


def test_sections_survive_a_dump_and_reload(study: dict[str, Any]) -> None:
    loaded = load_study(study)
    assert load_study(loaded.model_dump(mode="json", by_alias=True)) == loaded


def test_a_residual_reference_belongs_to_the_network_that_the_arm_starts_from(study: dict[str, Any]) -> None:
    study["pretraining"] = {"own": {"steps": 5}}
    study["arms"]["residual-ref"]["init"] = "own"
    (line,) = refused(study)
    assert "fitted to the residual of pretrained, but the arm starts from own" in line
    study["references"] = {"beyond": {"labels": "residual", "model": "own"}}
    study["arms"]["residual-ref"]["references"] = "beyond"
    assert load_study(study).pretraining["own"].size == "all"


def test_more_arms_than_a_figure_tells_apart_are_refused_before_they_are_trained(study: dict[str, Any]) -> None:
    study["arms"] = {f"a{k}": copy.deepcopy(study["arms"]["scratch"]) for k in range(len(COLOURS))}
    load_study(study)
    study["arms"]["one-more"] = study["arms"]["a0"]
    assert refused(study) == ["arms: 17 arms; figures can distinguish 16 at most"]


def test_many_choices_are_not_all_named(study: dict[str, Any]) -> None:
    study = put(put(study, "sizes", list(range(1, 61))), "longer", {"sizes": ["all"]})
    (line,) = refused(study)
    assert line.endswith("38, 39, and 21 more)")
