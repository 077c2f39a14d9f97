"""The work test on made-up crystals with an exact energy, and on real labels of VASP."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import DATA

from uprung.frames.schema import Frame, FramesError
from uprung.sources import READERS
from uprung.sources import work_consistency as work
from uprung.sources.work_consistency import EV_PER_A3, WorkTest, checked

SPRING, BULK, HOME = 4.0, 150.0, 4.0  # eV/Å², GPa, Å


def frame(k: int, lattice: np.ndarray, frac: np.ndarray, **factors: float) -> Frame:
    """Return atoms on springs in an elastic cell, whose forces and stress are exact derivatives of the energy.

    E = k/2 Σ |(f − f₀) L|² + V₀ B/2 tr(η)², with L = L₀(1 + η), so that forces are −k (f − f₀) L.
    """
    home = np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]])
    eta = lattice / HOME - np.eye(3)
    volume0, volume = HOME**3, abs(np.linalg.det(lattice))
    moves = (frac - home) @ lattice
    energy = SPRING / 2 * (moves**2).sum() + volume0 * BULK / EV_PER_A3 / 2 * np.trace(eta) ** 2
    # dE/dε for L -> L (1 + ε), symmetrised
    elastic = volume0 * BULK / EV_PER_A3 * np.trace(eta) * lattice / HOME
    derivative = SPRING * moves.T @ moves + (elastic + elastic.T) / 2
    return Frame(
        frame_id=str(k),
        material_id="m",
        source="test",
        functional="PBE",
        run_type="r",
        label_scale="s",
        Z=np.array([11, 17], dtype=np.uint8),
        lattice=lattice,
        frac=frac,
        energy=factors.get("energy", 1.0) * energy,
        forces=-factors.get("forces", 1.0) * SPRING * moves,
        stress_gpa=factors.get("stress", 1.0) * derivative / volume * EV_PER_A3,
    )


def walk(n: int = 60, *, strain: float = 0.01, **factors: float) -> Iterator[Frame]:
    """Yield frames around a point off equilibrium, as in a relaxation."""
    rng = np.random.default_rng(3)
    for k in range(n):
        eta = 0.04 * np.eye(3) + strain * rng.normal(size=(3, 3))
        eta = (eta + eta.T) / 2
        frac = np.array([[0.0, 0, 0], [0.55, 0.53, 0.5]]) + rng.normal(0, 0.01, (2, 3))
        one = frame(k, HOME * (np.eye(3) + eta), frac, **factors)
        yield replace(one, frac=frac + rng.integers(-1, 2, 3))  # periodic images change nothing


def result(frames: Iterator[Frame]) -> dict[str, Any]:
    test = WorkTest()
    for one in frames:
        test.add(one)
    return test.result()


def test_right_units_and_signs_are_confirmed() -> None:
    found = result(walk())
    assert found["pairs"] > 40
    for name in ("forces", "stress"):
        assert found[name]["verdict"] == "checked"
        assert found[name]["slope"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("factors", "name", "slope", "like"),
    [
        ({"stress": -1.0}, "stress", -1.0, "the opposite sign (compression positive)"),
        ({"stress": 10.0}, "stress", 0.1, "kbar taken for GPa"),
        ({"stress": -10.0}, "stress", -0.1, "kbar in VASP's sign"),
        ({"stress": 1 / EV_PER_A3}, "stress", EV_PER_A3, "eV/Å³ taken for GPa"),
        ({"stress": -0.1}, "stress", -10.0, "converted twice from VASP's kbar"),
        ({"forces": -1.0}, "forces", -1.0, "the opposite sign"),
        ({"forces": 1 / 25.711}, "forces", 25.711, "Ry/bohr"),
        ({"energy": 0.5}, "forces", 0.5, ""),  # per atom instead of per cell
    ],
)
def test_wrong_units_and_signs_are_found_and_named(factors: dict, name: str, slope: float, like: str) -> None:
    found = result(walk(200, **factors))
    assert found[name]["verdict"] == "contradicted"
    assert found[name]["slope"] == pytest.approx(slope, rel=0.2)
    assert like in found[name]["like"]
    with pytest.raises(FramesError, match=f"some/file: .* contradict each other over .* the work of the {name}"):
        list(checked(walk(200, **factors), WorkTest(), Path("some/file")))


def test_a_long_source_with_wrong_signs_stops_early() -> None:
    passed = 0
    with pytest.raises(FramesError, match="contradict"):  # noqa: PT012
        for _ in checked(walk(100_000, forces=-1.0), WorkTest(), Path("x")):
            passed += 1
    assert work.MOST_PAIRS - 1 <= passed < 3 * work.MOST_PAIRS


def verdicts(found: dict[str, Any]) -> list[str]:
    return [found[name]["verdict"] for name in ("forces", "stress")]


def test_pairs_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MOST_PAIRS", 40)
    test = WorkTest()
    for one in walk(1000):
        test.add(one)
    assert test.every >= 16
    assert 20 <= len(test.pairs) < 40
    assert verdicts(test.result()) == ["checked", "checked"]


def test_outliers_do_not_decide() -> None:
    def hopping() -> Iterator[Frame]:
        for k, one in enumerate(walk(100)):
            shift = 3.0 if k % 17 == 3 else 0.0  # another spin state
            yield replace(one, energy=one.energy + shift)

    assert verdicts(result(hopping())) == ["checked", "checked"]


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        (lambda: walk(5), "4 pairs of successive frames"),
        (lambda: walk(1), "0 pairs of successive frames"),
        (lambda: walk(60, strain=0.5), "pairs of successive frames"),
    ],
)
def test_what_cannot_be_tested_says_why(frames, why: str) -> None:
    found = result(frames())
    assert verdicts(found) == ["unchecked", "unchecked"]
    assert all(why in found[name]["why"] for name in ("forces", "stress"))


def test_a_frame_with_broken_labels_is_passed_over() -> None:
    def broken() -> Iterator[Frame]:
        for k, one in enumerate(walk(80)):
            changes = {0: {"forces": np.zeros((1, 3))}, 1: {"frac": np.full((2, 3), np.nan)}, 2: {"energy": None}}
            yield replace(one, **changes.get(k % 10, {}))

    assert verdicts(result(broken())) == ["checked", "checked"]


# --------------------------------------------------------------------------------------------------- real labels


@pytest.mark.parametrize("functional", ["PBE", "r2SCAN"])
def test_dimers_of_vasp(functional: str) -> None:
    found = result(READERS["diatomics"].read(DATA / "diatomics" / "diatomics-dft.json.gz", functional))
    assert found["forces"]["slope"] == pytest.approx(1, abs=0.01)
    assert found["stress"]["verdict"] == "unchecked"  # there is none
    assert found["pairs"] > 500


@pytest.mark.parametrize("element", ["Si", "Ge"])
@pytest.mark.parametrize("sign", [1, -1])
def test_strained_crystals_of_vasp(element: str, sign: int) -> None:
    """The diagonal of the stress, in kbar with compression positive, is known to be right in these files."""

    def frames() -> Iterator[Frame]:
        with gzip.open(DATA / "mlearn" / f"{element}_training.json.gz") as stream:
            entries = json.load(stream)
        for k, entry in enumerate(entries):
            crystal, labels = entry["structure"], entry["outputs"]
            s = -0.1 * sign * np.array(labels["virial_stress"])
            yield Frame(
                frame_id=str(k),
                material_id=element,
                source="mlearn",
                functional="PBE",
                run_type="r",
                label_scale="s",
                Z=np.full(len(crystal["sites"]), 14, dtype=np.uint8),
                lattice=np.array(crystal["lattice"]["matrix"], dtype=np.float64),
                frac=np.array([site["abc"] for site in crystal["sites"]], dtype=np.float64),
                energy=float(labels["energy"]),
                forces=np.array(labels["forces"], dtype=np.float64),
                stress_gpa=np.array([[s[0], s[3], s[5]], [s[3], s[1], s[4]], [s[5], s[4], s[2]]]),
            )

    found = result(frames())
    assert found["stress"]["verdict"] == ("checked" if sign == 1 else "contradicted")
    assert found["stress"]["slope"] == pytest.approx(sign, abs=0.06)
