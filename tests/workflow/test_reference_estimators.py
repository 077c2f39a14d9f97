"""Estimators of reference energies in a study: what a study file asks for arrives in the tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from workplace import Workplace

ELEMENTS = "data/elements/MatPES-r2SCAN-Element-Refs.json.gz"
SUMMARY = "results/micro/atomref/summary.csv"


def test_elemental_energies_of_the_same_scale_are_compared_and_fitted(finished: Workplace) -> None:
    def change(content: dict[str, Any]) -> None:
        for name, source in (("solids", "elements"), ("atoms", "atoms")):
            content["fidelities"][name] = {"functional": "r2SCAN", "sources": [{"format": source, "file": ELEMENTS}]}
        content["references"] |= {
            "solid": {"labels": "target", "estimator": "elemental-solid", "elements": "solids"},
            "atom": {"labels": "target", "estimator": "isolated-atom", "elements": "atoms"},
            "drawn": {"labels": "target", "estimator": "huber", "unseen": "source", "bootstrap": 20},
        }

    finished.configure(change)
    tables = [f"results/micro/references/{name}/n60/seed0.csv" for name in ("atom", "drawn")]
    assert finished.planned(SUMMARY, *tables) == {"frames": 2, "compare_references": 1, "fit_reference": 2}
    done = finished.snakemake(SUMMARY, *tables, "--cores", "2", timeout=300)
    assert done.returncode == 0, done.stdout
    mae = pd.read_csv(finished.folder / SUMMARY).set_index(["reference", "size", "population"])["mae"]
    # Dimers are nearer to atoms than to solids.
    assert mae["atom", 60, "all"] < min(mae["solid", 60, "all"], mae["source", 60, "all"])
    atom, drawn = (pd.read_csv(finished.folder / table).set_index("Z") for table in tables)
    assert set(atom["estimator"]) == {"isolated-atom"}
    assert set(atom["origin"]) == {"elements"}
    assert set(drawn["estimator"]) == {"huber"}
    assert set(drawn["origin"]) <= {"fit", "source"}
    assert np.abs(atom["value"] - drawn["value"]).median() < 1.5  # eV/atom: atoms against means of dimers


def test_elemental_energies_of_another_scale_are_refused(finished: Workplace) -> None:
    def change(content: dict[str, Any]) -> None:
        source = {"format": "solids", "file": "data/solids/solids.jsonl.gz"}
        content["fidelities"]["crystals"] = {"functional": "r2SCAN", "sources": [source]}
        content["references"]["solid"] = {"labels": "target", "estimator": "elemental-solid", "elements": "crystals"}

    finished.configure(change)
    done = finished.snakemake(SUMMARY, "--cores", "2", timeout=300)
    assert done.returncode != 0
    assert "fidelity 'crystals' is on the label scale 'GPAW" in done.stdout
    assert "but 'r2scan' on 'VASP PBE_64 PAW, r2SCAN" in done.stdout
