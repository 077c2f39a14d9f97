"""The work test: whether energies, forces and stresses of a source belong together.

Two frames with the same atoms and a small change between them obey ΔF = −Σ f·Δr + V σ:ε to second order: the change
of the free energy is the work of the forces on the displacements within the cell and of the stress (tension positive)
on the strain. Fitting ΔF = a·(work of forces) + b·(work of stress) over many pairs gives a = b = 1 when units and
signs are right, −1 for an opposite sign, and the ratio of the units for a wrong one. Successive frames of a file
are such pairs wherever it holds relaxations or molecular dynamics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uprung.frames.schema import EV_PER_A3, Floats, Frame, FramesError, Rejected

MOST_PAIRS = 2_000
#: A pair is left out when an atom moves or the cell deforms by more: the second-order estimate does not hold there.
LARGEST_MOVE, LARGEST_STRAIN = 0.3, 0.05  # Å, 1
#: Energies of successive frames differ by about this much through unconverged electronic steps, eV.
NOISE = 2e-3
FEWEST_PAIRS = 10
#: A slope counts as measured below this relative error, and as one within the tolerance or four errors.
KNOWN, TOLERANCE = 0.15, 0.25
_ENERGY_SLOPES = {1 / 27.211: "energies in Hartree", 1 / 13.606: "energies in Rydberg", 1e3: "energies in meV"}
_FORCE_SLOPES = {
    -1.0: "the opposite sign",
    25.711: "Ry/bohr",
    51.422: "Ha/bohr",
    1e-3: "meV/Å",
    23.06: "kcal/mol",
    **_ENERGY_SLOPES,
}
_STRESS_SLOPES = {
    -1.0: "the opposite sign (compression positive)",
    0.1: "kbar taken for GPa",
    -0.1: "kbar in VASP's sign taken for GPa",
    EV_PER_A3: "eV/Å³ taken for GPa",
    -EV_PER_A3: "eV/Å³ with compression positive taken for GPa",
    -10.0: "converted twice from VASP's kbar",
    1 / EV_PER_A3: "GPa taken for eV/Å³",
    -1 / EV_PER_A3: "GPa with compression positive taken for eV/Å³",
    0.1 / EV_PER_A3: "kbar taken for eV/Å³",
    -0.1 / EV_PER_A3: "kbar in VASP's sign taken for eV/Å³",
    **_ENERGY_SLOPES,
}
_SLOPES = {"forces": _FORCE_SLOPES, "stress": _STRESS_SLOPES}
_TOO = {"forces": "moves of the atoms", "stress": "changes of the cell"}


class WorkTest:
    """Collects pairs of successive frames, thinned evenly over a source of any length, and fits the two slopes."""

    def __init__(self) -> None:
        """Begin without pairs."""
        self.pairs: list[tuple[float, float, float, float]] = []  # ΔF, work of forces, of stress, error; eV
        self.met, self.every = 0, 1
        self.last: Frame | None = None
        self.energy = "E0"

    def add(self, frame: Frame) -> bool:
        """Take the next frame; return whether the list of pairs has just been filled."""
        last, self.last = self.last, frame
        if last is None or len(last.Z) != len(frame.Z) or not np.array_equal(last.Z, frame.Z):
            return False
        self.met += 1
        if self.met % self.every:
            return False
        pair = _pair(last, frame)
        if pair is None:
            return False
        self.energy = "free energy" if frame.energy_free is not None else "E0"
        self.pairs.append(pair)
        if len(self.pairs) < MOST_PAIRS:
            return False
        self.pairs, self.every = self.pairs[::2], 2 * self.every
        return True

    def result(self) -> dict[str, Any]:
        """Return the number of pairs, the energy, and for forces and stress each a verdict with its slope, or why not.

        A verdict is `checked`, `contradicted` or `unchecked`.
        """
        facts: dict[str, Any] = {"pairs": len(self.pairs), "energy": self.energy}
        few = (
            f"{len(self.pairs)} pairs of successive frames with the same atoms, energies, forces and a small change "
            f"between them; {FEWEST_PAIRS} are needed"
        )
        if len(self.pairs) < FEWEST_PAIRS:
            return {**facts, **{name: _unchecked(few) for name in _SLOPES}}
        slopes, errors = _fit(np.array(self.pairs))
        found = {name: _judge(name, slope, error) for name, slope, error in zip(_SLOPES, slopes, errors, strict=True)}
        return {**facts, **found}


def checked(records: Iterable[Frame | Rejected], test: WorkTest, path: Path) -> Iterator[Frame | Rejected]:
    """Pass records on while testing them.

    Raises:
        FramesError: the test contradicts the units or signs; early, and at the end of the records.
    """
    for record in records:
        if isinstance(record, Frame) and test.add(record):
            _refuse(test.result(), path)
        yield record
    _refuse(test.result(), path)


def tested(records: Iterable[Frame | Rejected], test: WorkTest) -> Iterator[Frame | Rejected]:
    """Pass records on while testing them; the result never stops them."""
    for record in records:
        if isinstance(record, Frame):
            test.add(record)
        yield record


def _refuse(result: dict[str, Any], path: Path) -> None:
    wrong = [
        f"the change of the energy is {result[name]['slope']:.3g} ± {result[name]['error']:.1g} times the work of the "
        f"{name}{result[name]['like']}"
        for name in _SLOPES
        if result[name]["verdict"] == "contradicted"
    ]
    if wrong:
        raise FramesError(
            f"{path}: energies, forces and stresses contradict each other over {result['pairs']} pairs of successive "
            f"frames: {'; '.join(wrong)}; expected is 1, with eV, eV/Å and GPa (tension positive) in the table"
        )


def _judge(name: str, slope: float, error: float) -> dict[str, Any]:
    if not np.isfinite(slope) or not error < KNOWN * max(1.0, abs(slope)):
        return _unchecked(f"the {_TOO[name]} between successive frames are too small or too large to measure its slope")
    facts = {"slope": float(slope), "error": float(error), "like": ""}
    if abs(slope - 1) <= max(TOLERANCE, 4 * error):
        return {"verdict": "checked", **facts}
    like = next((words for value, words in _SLOPES[name].items() if 0.7 < slope / value < 1.4), None)
    return {"verdict": "contradicted", **facts, "like": f" (as with {like})" if like else ""}


def _unchecked(why: str) -> dict[str, Any]:
    return {"verdict": "unchecked", "slope": None, "error": None, "like": "", "why": why}


def _energies(first: Frame, second: Frame) -> tuple[float, float] | None:
    for name in ("energy_free", "energy"):
        values = getattr(first, name), getattr(second, name)
        if None not in values:
            return values if np.isfinite(values).all() else None
    return None


def _usable(frame: Frame) -> bool:
    n = len(frame.Z)
    shapes = [(frame.lattice, (3, 3)), (frame.frac, (n, 3)), (frame.forces, (n, 3)), (frame.stress_gpa, (3, 3))]
    return all(value is None or (value.shape == shape and np.isfinite(value).all()) for value, shape in shapes)


def _pair(first: Frame, second: Frame) -> tuple[float, float, float, float] | None:
    """Return ΔF, the work of the forces and of the stress (trapezoidal) and the error of their sum, in eV."""
    energies = _energies(first, second)
    if first.forces is None or second.forces is None or energies is None or not (_usable(first) and _usable(second)):
        return None
    mean = (first.lattice + second.lattice) / 2
    if abs(np.linalg.det(mean)) < 1e-3:
        return None
    strain = np.linalg.solve(mean, second.lattice - first.lattice)
    change = second.frac - first.frac
    moves = (change - np.round(change)) @ mean
    deformed = float(np.abs(strain).max())
    if deformed > LARGEST_STRAIN or np.abs(moves).max() > LARGEST_MOVE:
        return None
    ends = [-float((forces * moves).sum()) for forces in (first.forces, second.forces)]
    if first.stress_gpa is not None and second.stress_gpa is not None:
        strained = [_stress_work(frame, strain) for frame in (first, second)]
    elif deformed < 1e-6:
        strained = [0.0, 0.0]
    else:
        return None
    spread = abs(ends[1] - ends[0]) + abs(strained[1] - strained[0])
    error = NOISE + spread / 4  # the trapezoid lies well within half the spread of its ends
    return energies[1] - energies[0], sum(ends) / 2, sum(strained) / 2, error


def _stress_work(frame: Frame, strain: NDArray[np.floating[Any]]) -> float:
    """Return V σ:ε in eV; a symmetric stress sees the symmetric part of the strain only."""
    stress = np.asarray(frame.stress_gpa, dtype=np.float64)
    return float(abs(np.linalg.det(frame.lattice)) * (stress * (strain + strain.T) / 2).sum() / EV_PER_A3)


def _fit(pairs: Floats) -> tuple[Floats, Floats]:
    """Return slopes and standard errors (2,) of a weighted fit that outliers, such as branch switches, do not pull."""
    change, error = pairs[:, 0], pairs[:, 3]
    work = pairs[:, 1:3]
    weights, slopes, scale = 1 / error, np.ones_like(work[0]), 1.0
    for _ in range(30):  # Huber's weights, iterated
        rows = work * weights[:, None]
        slopes = np.asarray(np.linalg.lstsq(rows, change * weights, rcond=1e-9)[0])
        residuals = np.abs(change - work @ slopes) / error
        scale = max(1e-12, float(np.median(residuals)) / 0.6745)
        weights = np.minimum(1.0, np.sqrt(1.5 * scale / np.maximum(residuals, 1e-12))) / error
    information = (work * weights[:, None]).T @ (work * weights[:, None])
    variance = np.diag(np.linalg.pinv(information, rcond=1e-9)) * max(1.0, scale) ** 2
    silent = np.diag(information) < 1e-9 * max(1e-300, float(np.diag(information).max()))
    return slopes, np.where(silent, np.inf, np.sqrt(variance))
