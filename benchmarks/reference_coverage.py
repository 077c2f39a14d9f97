"""How often intervals of reference energies and of softening slopes hold the truth, in simulations.

*Fits*: materials of one to three of 12 elements, four structures each, whose energies have an error of the material
(0.25 eV/atom) and one of their own (0.05 eV/atom). *Priors*: the released r²SCAN references from the GGA ones plus a
smooth shift fitted to some elements. *Salts*: sodium and chlorine 1 : 1 in thirty structures, one of which is off.
*Softening*: frames of trajectories that share an error of the slope.

    python benchmarks/reference_coverage.py                               # some ten minutes on one core
    python benchmarks/reference_coverage.py --studies 20 --out short.json # short
    python benchmarks/reference_coverage.py --page docs/concepts.md       # the tables of the record into the page
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase.data import atomic_numbers
from law_tables import fill, percent, table
from numpy.typing import NDArray

from uprung.atomref import CompositionModel, Huber, LeastSquares, PriorRidge, Ridge
from uprung.atomref.base import design_of, group_sums
from uprung.atomref.prior import prior_error, smooth_shift
from uprung.atomref.references import complete
from uprung.job import provenance
from uprung.softening.slopes import Forces, bootstrap

Floats = NDArray[np.float64]
ROOT = Path(__file__).parents[1]
RECORD = ROOT / "benchmarks/results/reference-coverage.json"
MATERIALS = (15, 30, 60, 200)
COPIES, MATERIAL, OWN = 4, 0.25, 0.05
ELEMENTS = np.array([3, 8, 11, 12, 13, 14, 16, 17, 20, 22, 26, 29])
RANGES = ((5, 20), (8, 12), (8, 30), (12, 40), (20, 25), (20, 60), (40, 45), (40, 70), (60, 65))
OFF = (0.005, 0.02, 0.1)
TRAJECTORIES = (3, 5, 8, 15, 30)


def released() -> tuple[Floats, Floats]:
    """Return the released references (94,) of both sides, eV/atom, nan where no structure has the element."""
    columns = pd.read_csv(ROOT / "data/paper/atomref_released.csv", index_col="Z").loc[1:94]
    low, high = (columns[name].to_numpy(dtype=np.float64).copy() for name in ("MPtrj_eV", "MPr2SCAN_eV"))
    absent = np.array([70, 84, 85, 86, 87, 88]) - 1
    low[absent], high[absent] = np.nan, np.nan
    return low, high


def compositions(rng: np.random.Generator, n: int) -> Floats:
    """Return compositions of one to three elements, (n, 94)."""
    X = np.zeros((n, 94))
    for row in X:
        for Z in rng.choice(ELEMENTS, rng.integers(1, 4), replace=False):
            row[Z - 1] += rng.integers(1, 5)
    return X / X.sum(axis=1, keepdims=True)


def normal(rng: np.random.Generator, X: Floats) -> Floats:
    """Return errors of materials, alike."""
    return np.asarray(rng.normal(size=len(X)))


def heavy(rng: np.random.Generator, X: Floats) -> Floats:
    """Return errors of materials with heavy tails (t with 3 degrees of freedom)."""
    return np.asarray(rng.standard_t(3, size=len(X)) / np.sqrt(3))


def oxides(rng: np.random.Generator, X: Floats) -> Floats:
    """Return errors of materials, three times larger with oxygen."""
    return np.asarray(rng.normal(size=len(X)) * np.where(X[:, 7] > 0, 3.0, 1.0))


NOISE: dict[str, Callable[[np.random.Generator, Floats], Floats]] = {
    "alike": normal,
    "heavy tails": heavy,
    "three times larger with oxygen": oxides,
}


def estimators(low: Floats) -> dict[str, CompositionModel]:
    """Return the estimators."""
    return {"least-squares": LeastSquares(), "huber": Huber(), "ridge": Ridge(), "prior-ridge": PriorRidge(low)}


def usual(X: Floats, y: Floats, codes: NDArray[np.int64]) -> Floats:
    """Return the usual clustered standard errors, CR1 with the factor G/(G−1)·(n−1)/(n−k), (94,)."""
    design = design_of(X)
    residual = y - design.U @ (design.U.T @ y)
    n, groups = len(X), int(codes.max()) + 1
    factor = groups / (groups - 1) * (n - 1) / (n - design.rank)
    influence = group_sums(design.U * residual[:, None], codes) @ design.to_coef.T
    return design.spread(np.sqrt(factor * (influence**2).sum(axis=0)))


def fits(studies: int) -> list[dict[str, Any]]:
    """Return coverage of the references of every estimator, noise and number of materials."""
    low, high = released()
    truth = np.nan_to_num(high)
    cells = []
    for noise, errors in NOISE.items():
        for materials in MATERIALS:
            held: dict[str, list[bool]] = {}
            for study in range(studies):
                rng = np.random.default_rng([materials, study])
                unique = compositions(rng, materials)
                codes = np.repeat(np.arange(materials), COPIES)
                X = unique[codes]
                y = X @ truth + MATERIAL * errors(rng, unique)[codes] + OWN * rng.normal(size=len(X))
                for name, model in estimators(low).items():
                    model.fit(X, y, codes, codes)
                    known = np.isfinite(model.stderr_)
                    off = np.abs(model.coef_ - truth)
                    held.setdefault(name, []).extend((off < 1.96 * model.stderr_)[known])
                    if name == "least-squares":
                        held.setdefault("usual", []).extend((off < 1.96 * usual(X, y, codes))[known])
            cells.append({"noise": noise, "materials": materials, **{k: float(np.mean(v)) for k, v in held.items()}})
            print(cells[-1], flush=True)
    return cells


def of_elements() -> Floats:
    """Return the shift of the elemental ground states from PBE to r²SCAN (MatPES), (94,) eV/atom, nan without one."""
    values = np.full((2, 94), np.nan)
    for row, functional in zip(values, ("PBE", "r2SCAN"), strict=True):
        path = ROOT / f"data/elements/MatPES-{functional}-Element-Refs.json.gz"
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for symbol, entry in json.load(file).items():
                row[atomic_numbers[symbol] - 1] = entry["energy_per_atom"]
    return np.asarray(values[1] - values[0])


def priors(studies: int) -> list[dict[str, Any]]:
    """Return coverage of the prior inside and outside the range of Z, with one error for all (before) and now.

    The formula of the error was chosen on the released shift; that of the elements is another one, of other labels.
    """
    low, high = released()
    cells = []
    for name, shift in (("released", high - low), ("MatPES elements", of_elements())):
        for n, width in RANGES:
            cells.append({"shift": name, "elements": n, "within": width, **prior_coverage(shift, n, width, studies)})
            print(cells[-1], flush=True)
    return cells


def prior_coverage(shift: Floats, n: int, width: int, studies: int) -> dict[str, float]:
    """Return the coverage for n elements with data, drawn from a range of so many known ones."""
    known = np.flatnonzero(np.isfinite(shift))
    held: dict[str, list[bool]] = {name: [] for name in ("inside", "outside", "inside_one", "outside_one")}
    for study in range(studies):
        rng = np.random.default_rng([n, width, study])
        first = rng.integers(0, len(known) - width + 1)
        seen = np.sort(rng.choice(known[first : first + width], n, replace=False))
        curve, one = smooth_shift(seen + 1, shift[seen])
        off = np.abs(curve - shift)
        rest = np.setdiff1d(known, seen)
        within = (rest > seen[0]) & (rest < seen[-1])
        for name, error in (("", prior_error(seen + 1, shift[seen])), ("_one", np.full(94, one))):
            hit = off < 1.96 * error
            held[f"inside{name}"].extend(hit[rest[within]])
            held[f"outside{name}"].extend(hit[rest[~within]])
    return {name: float(np.mean(values)) for name, values in held.items()}


def salts(studies: int) -> list[dict[str, Any]]:
    """Return the error of near-collinear references as fitted and as completed, eV/atom."""
    low, high = released()
    pair = np.array([10, 16])
    cells = []
    for off in OFF:
        fitted, completed, prior, held = [], [], [], []
        for study in range(studies):
            rng = np.random.default_rng([int(1000 * off), study])
            X = compositions(rng, 90)
            X[60:] = 0.0
            X[60:, pair] = 0.5
            X = X[(X[:, pair].max(axis=1) == 0) | (X[:, pair].sum(axis=1) == 1) & (X[:, pair].min(axis=1) > 0)]
            X[-1, pair] += [off, -off]
            y = X @ np.nan_to_num(high) + OWN * rng.normal(size=len(X))
            model = LeastSquares().fit(X, y)
            found = complete(model, policy="prior", source=low, needed=model.seen_)
            fitted.append(np.abs(model.coef_ - high)[pair].max())
            completed.append(np.abs(found.values - high)[pair].max())
            prior.append(found.origin[pair[0]] == "prior")
            known = pair[np.isfinite(found.stderr[pair])]
            held.extend((np.abs(found.values - high) < 1.96 * found.stderr)[known])
        cell = {"off": off, "fitted": float(np.mean(fitted)), "completed": float(np.mean(completed))}
        cells.append(cell | {"prior": float(np.mean(prior)), "held": float(np.mean(held)) if held else float("nan")})
        print(cells[-1], flush=True)
    return cells


def softening(studies: int) -> list[dict[str, Any]]:
    """Return coverage of a slope whose trajectories differ, when frames and when trajectories are drawn."""
    cells = []
    for runs in TRAJECTORIES:
        held: dict[str, list[bool]] = {"frames": [], "trajectories": []}
        for study in range(studies):
            rng = np.random.default_rng([runs, study])
            frame = np.repeat(np.arange(5 * runs), 10)
            own = frame // 5
            label = rng.normal(size=(len(frame), 3))
            scale = 0.8 + 0.1 * rng.normal(size=runs)[own] + 0.03 * rng.normal(size=5 * runs)[frame]
            names = np.full(len(frame), "m", dtype=object)
            for drawn, trajectory in (("frames", None), ("trajectories", own)):
                forces = Forces(label, scale[:, None] * label, frame, names, names, trajectory)
                low, high = bootstrap(forces, resamples=300, seed=study)["slope"]
                held[drawn].append(bool(low <= 0.8 <= high))
        cells.append({"runs": runs, **{name: float(np.mean(values)) for name, values in held.items()}})
        print(cells[-1], flush=True)
    return cells


PARTS: dict[str, Callable[[int], list[dict[str, Any]]]] = {
    "fits": fits,
    "priors": priors,
    "salts": salts,
    "softening": softening,
}


def page_tables(record: Mapping[str, Any]) -> dict[str, str]:
    """Return name -> table of a record."""
    names = ["usual", *estimators(np.zeros(94))]
    rows: list[Sequence[str]] = [
        [c["noise"], str(c["materials"]), *(percent(c[name]) for name in names)] for c in record["fits"]
    ]
    made = {
        "fits": table(["errors of materials", "materials", "least-squares, CR1 and 1.96", *names[1:]], rows),
    }
    head = ["shift", "elements seen", "in a range of", "inside, one error", "inside", "outside, one error", "outside"]
    keys = ("inside_one", "inside", "outside_one", "outside")
    named = ("shift", "elements", "within")
    rows = [[*(str(c[key]) for key in named), *(percent(c[key]) for key in keys)] for c in record["priors"]]
    made["priors"] = table(head, rows)
    rows = [
        [f"{100 * c['off']:.1f} %", f"{c['fitted']:.2f}", f"{c['completed']:.2f}", f"{100 * c['prior']:.0f}"]
        for c in record["salts"]
    ]
    made["salts"] = table(["one composition off by", "error as fitted", "as used", "from the prior, %"], rows)
    rows = [[str(c["runs"]), percent(c["frames"]), percent(c["trajectories"])] for c in record["softening"]]
    made["softening"] = table(["trajectories", "frames drawn", "trajectories drawn"], rows)
    return {f"reference-{name}": text for name, text in made.items()}


def main() -> None:
    """Simulate, or write the tables of a record into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200, help="per cell")
    parser.add_argument("--out", type=Path, default=RECORD)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    if options.page:
        tables = page_tables(json.loads(RECORD.read_text(encoding="utf-8")))
        options.page.write_text(fill(options.page.read_text(encoding="utf-8"), tables), encoding="utf-8")
        return
    found = {name: part(options.studies) for name, part in PARTS.items()}
    record = {"studies": options.studies, "versions": provenance.versions(), "hardware": provenance.hardware()}
    options.out.write_text(json.dumps(record | found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
