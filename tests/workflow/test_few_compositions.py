"""Studies of one compound and its kin, in which no element, or not every one, has a reference of its own."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pandas as pd
import pytest
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from workplace import STUDY_TIMEOUT, Workplace, checkout

pytestmark = pytest.mark.long

STUDY = "few.yaml"
#: eV/atom of the elements at the low fidelity; the high one is lower by as much as `SHIFT`.
ENERGY = {"Cu": -3.7, "Au": -3.2, "Zn": -1.3, "Ga": -2.9, "In": -2.7, "As": -4.6, "Si": -5.4}
SHIFT = {"Cu": -9.5, "Au": -26.0, "Zn": -10.2, "Ga": -10.4, "In": -16.0, "As": -11.5, "Si": -4.4}
ANALYSIS = ["atomref", "analysis"]


def frames(formula: str, n: int, seed: int) -> list[Atoms]:
    """Return displaced crystals of one composition."""
    rng = np.random.default_rng(seed)
    symbols = Atoms(formula).get_chemical_symbols()
    sites = np.array([[i, j, k] for i in range(2) for j in range(2) for k in range(2)])[: len(symbols)] / 2
    made = []
    for k in range(n):
        cell = 5.6 * (1 + 0.04 * rng.uniform(-1, 1)) * np.eye(3)
        atoms = Atoms(symbols, scaled_positions=sites + 0.02 * rng.normal(size=sites.shape), cell=cell, pbc=True)
        atoms.info = {"frame_id": f"{formula}-{k}", "material_id": formula}
        made.append(atoms)
    return made


def labelled(structures: Sequence[Atoms], functional: str) -> list[Atoms]:
    """Return the structures with energies and forces that differ between the functionals."""
    found = []
    for atoms in structures:
        rng = np.random.default_rng(len(found))
        own = sum(ENERGY[s] + (SHIFT[s] if functional == "r2SCAN" else 0.0) for s in atoms.symbols)
        forces = 0.5 * rng.normal(size=(len(atoms), 3))
        forces -= forces.mean(axis=0)
        copy = atoms.copy()
        copy.calc = SinglePointCalculator(
            copy,
            energy=own + 0.05 * len(atoms) * rng.normal(),
            forces=forces * (1.1 if functional == "r2SCAN" else 1.0),
        )
        found.append(copy)
    return found


def place(folder: Path, low: Sequence[Atoms], high: Sequence[Atoms], **change: Any) -> Workplace:
    """Return a checkout with a study of some structures."""
    made = checkout(folder)
    content: dict[str, Any] = {"study": "few", "fidelities": {}}
    for name, functional, structures in (("low", "PBE", low), ("high", "r2SCAN", high)):
        ase.io.write(folder / f"{name}.extxyz", labelled(structures, functional), format="extxyz")
        source = {"format": "ase", "file": f"{name}.extxyz", "label_scale": name}
        content["fidelities"][name] = {"functional": functional, "sources": [source]}
    content |= {
        "pairs": {"p": {"low": "low", "high": "high"}},
        "transfer": {"pair": "p", "targets": ["energy", "force"]},
        "split": {"group": "frame", "draw": "frame", "train": 2, "val": 1, "test": 1},
        "arms": {"scratch": {"init": "random"}, "residual-ref": {"references": "residual"}},
        "references": {
            "lean": {"labels": "target", "estimator": "prior-ridge"},
            "ridge": {"labels": "target", "estimator": "ridge"},
            "huber": {"labels": "target", "estimator": "huber", "bootstrap": 20},
        },
        "sizes": [4, "all"],
        "seeds": [0],
        "steps": 2,
        "training": {"batch_size": 4, "validations": 2},
        "resources": {"minutes": 5, "memory_mb": 1500},
        "analysis": {"bootstrap": 100},
        "scaling": {"bootstrap": 100},
    }
    (folder / STUDY).write_text(yaml.safe_dump(content | change, sort_keys=False))
    return made


def run(made: Workplace, *targets: str) -> Path:
    """Run the targets and return the results."""
    done = made.snakemake(*targets, "--cores", "2", study=STUDY, timeout=STUDY_TIMEOUT)
    assert done.returncode == 0, done.stdout
    return made.folder / "results/few"


def words_of(results: Path) -> str:
    """Return the text of the report."""
    text = re.sub(r"<(style|script|svg).*?</\1>", " ", (results / "report.html").read_text(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text)))


def mean_energy(table: pd.DataFrame, composition: dict[str, int]) -> float:
    """Return the reference energy per atom of a composition."""
    values = table.set_index("element")["value"]
    return float(sum(values[s] * n for s, n in composition.items()) / sum(composition.values()))


def test_one_compound_from_data_to_report(tmp_path: Path) -> None:
    structures = frames("Cu7Au", 16, 0)
    results = run(place(tmp_path / "one", structures, structures), "all")
    table = pd.read_csv(results / "references/references.csv", keep_default_na=False)
    assert set(table["origin"]) == {"prior"}
    assert set(table["combination"]) == {"7 Cu + Au"}
    expected = (7 * (ENERGY["Cu"] + SHIFT["Cu"]) + ENERGY["Au"] + SHIFT["Au"]) / 8
    for _, own in table[table["reference"] == "target"].groupby("size"):
        assert mean_energy(own, {"Cu": 7, "Au": 1}) == pytest.approx(expected, abs=0.1)
    summary = pd.read_csv(results / "atomref/summary.csv")
    assert summary.loc[summary["reference"] != "source", "mae"].between(0.001, 0.2).all()
    curves = pd.read_csv(results / "scaling/curves.csv")
    assert set(curves["arm"]) == {"scratch", "residual-ref"}
    assert np.isfinite(curves["mae"]).all()
    text = words_of(results)
    assert "of Cu and Au 7 Cu + Au is determined" in text
    assert "had no training structure" not in text
    assert text.count("the pairs whose PBE forces are all below 10 eV/Å") >= 4


def test_an_element_of_the_test_alone_takes_its_reference_from_the_source(tmp_path: Path) -> None:
    """Zinc has target labels in the test only: the study says so, and has an error for it."""
    zinc = frames("Cu6Zn2", 8, 1)
    low, high = [*frames("Cu7Au", 12, 0), *frames("Cu8", 6, 2), *zinc], [*frames("Cu7Au", 12, 0), *zinc[:1]]
    split = {"group": "frame", "draw": "frame", "train": 2, "val": 1, "test": 1, "key": "17"}
    made = place(tmp_path / "absent", low, high, split=split)
    results = run(made, "all")
    split = pd.read_parquet(results / "split/split.parquet")
    own = split[(split["fidelity"] == "high") & (split["material_id"] == "Cu6Zn2")]
    assert own["split"].tolist() == ["test"]  # as this key draws it
    table = pd.read_csv(results / "references/references.csv", keep_default_na=False)
    zinc_rows = table[table["element"] == "Zn"]
    assert set(zinc_rows["n_structures"]) == {0}
    assert set(zinc_rows["origin"]) == {"prior"}
    assert (zinc_rows["combination"] == "").all()
    target = zinc_rows[zinc_rows["reference"] == "target"]["value"]
    assert target.to_numpy() == pytest.approx(ENERGY["Zn"] + (7 * SHIFT["Cu"] + SHIFT["Au"]) / 8, abs=0.5)
    text = words_of(results)
    assert "1 element of the study" in text.replace("Up to ", "")
    assert "2 elements (reference" in text


@pytest.mark.parametrize(
    ("formulas", "combinations", "fitted"),
    [
        (["GaAs", "Ga2As2"], {"Ga": "Ga + As", "As": "Ga + As"}, []),
        (
            ["Ga4As4", "In4As4", "Ga2In2As4"],
            dict.fromkeys(["Ga", "In", "As"], "(Ga + As), (As + In)"),
            [],
        ),
        (["Si8"], {}, ["Si"]),
        (["Cu8", "Cu7Au", "Cu6Au2", "CuZn"], {}, ["Cu", "Au", "Zn"]),
    ],
    ids=["one line", "one short", "one element", "one composition of an element"],
)
def test_other_short_ranks(
    tmp_path: Path, formulas: list[str], combinations: dict[str, str], fitted: list[str]
) -> None:
    structures = [atoms for k, formula in enumerate(formulas) for atoms in frames(formula, 24 // len(formulas), k)]
    results = run(place(tmp_path / "few", structures, structures), *ANALYSIS)
    comparison = pd.read_csv(results / "atomref/comparison.csv")
    assert comparison["reason"].isna().all()
    whole = comparison[comparison["size"].astype(str) == "all"]
    last = whole[whole["reference"] == "target"]
    assert set(last["n_fit"]) == {len(fitted)}
    assert set(last["n_prior"]) == {len(combinations)}
    assert (whole.loc[whole["reference"] != "source", "mae"] < 1.0).all()  # four structures are few for a ridge
    shift = pd.read_csv(results / "analysis/p/shift.csv", keep_default_na=False).set_index("element")
    assert {s: c for s, c in shift["combination"].items() if c} == combinations
    assert json.loads((results / "analysis/p/summary.json").read_text())["elements"] == len(shift)
