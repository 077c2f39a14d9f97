"""How often the intervals of scaling laws hold the truth, and how often the right law is chosen, in simulated studies.

A simulated study has two arms with known laws, seeds with errors of their own, and test materials that all runs share:
some are harder than others at all sizes, some learn faster, and each run has its luck with each. What a real study
would have is all that the fits get: the mean errors of the runs, and those on every test material. Other cells ask what
the choice of the runs that enter a law does to its exponent.

    python benchmarks/law_coverage.py                                   # six minutes on one idle core
    python benchmarks/law_coverage.py --studies 2000                    # the same, sharper
    python benchmarks/law_coverage.py --page docs/laws.md               # the tables of the record into the page
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from law_filter import filter_cells, run_filter
from law_tables import CLAIMED, fill, page_tables

from uprung.job import provenance
from uprung.laws import (
    LAWS,
    FloatArray,
    Law,
    LawRefused,
    LogPoints,
    Materials,
    back_test,
    choose,
    crossover,
    fit_law,
    log_points,
    out_of_reach,
    score,
    shape_of,
)

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "benchmarks/results/law-coverage.json"
FIRST, LAST, CROSSING, MIDDLE = 100.0, 10_000.0, 3000.0, 1000.0
RESAMPLES = 400
SHAPES = ((4, 3), (5, 3), (6, 2), (6, 3), (6, 5))  # sizes and seeds
SIZES = (4, 6)
INSIDE = np.geomspace(FIRST, LAST, 5)  # sizes at which the bands are judged


@dataclass(frozen=True)
class Noise:
    """Standard deviations of ln error: seed, and per test material difficulty, learning rate per e-fold, luck."""

    name: str = "as stated"
    seed: float = 0.05
    materials: int = 200
    difficulty: float = 0.8
    rate: float = 0.15
    luck: float = 0.5
    shared: float = 0.5  # share of the variance of the difficulty that two arms have in common
    correlation: float = 0.0  # of a seed's errors at different sizes
    misfit: float = 0.0  # of the law itself, per size


Curve = Callable[[FloatArray], FloatArray]


def truth(law: str) -> tuple[Curve, float]:
    """Return ln error as a function of ln N, and the exponent: floor of half the smallest error, shift and break at the
    middle size.
    """
    x0, x1 = np.log(FIRST), np.log(LAST)
    if law == "power":
        return (lambda x: np.log(0.3) - 0.5 * (x - x0)), 0.5
    if law == "saturating":
        return (lambda x: np.log(0.01 * np.exp(-0.7 * (x - x1)) + 0.01)), 0.7
    if law == "shifted":
        return (lambda x: np.log(0.3) - 0.6 * (np.log(np.exp(x) + MIDDLE) - np.log(FIRST + MIDDLE))), 0.6
    middle = np.log(MIDDLE)
    return (lambda x: np.log(0.2) - 0.2 * np.minimum(x - middle, 0) - 0.7 * np.maximum(x - middle, 0)), 0.7


def simulate(
    rng: np.random.Generator,
    arms: Sequence[Curve],
    x: FloatArray,
    seeds: int,
    noise: Noise,
) -> tuple[FloatArray, Materials]:
    """Return MAE (arms, sizes, seeds) and the errors on the test materials, runs flattened in that order."""
    shape = (len(arms), len(x), seeds)
    common = rng.standard_normal((len(arms), 1, seeds)) * np.sqrt(noise.correlation)
    seed = noise.seed * (common + np.sqrt(1 - noise.correlation) * rng.standard_normal(shape))
    seed += noise.misfit * rng.standard_normal((len(arms), len(x), 1))
    m, dx = noise.materials, x - x.mean()
    both, own = np.sqrt(noise.shared), np.sqrt(1 - noise.shared)
    hard = noise.difficulty * (both * rng.standard_normal((m, 1)) + own * rng.standard_normal((m, len(arms))))
    rate = noise.rate * rng.standard_normal((m, len(arms)))
    # the mean over infinitely many materials follows the law exactly
    mean = 0.5 * (noise.difficulty**2 + noise.luck**2 + (noise.rate * dx) ** 2)
    level = np.stack([f(x) for f in arms]) - mean
    error = (level[..., None] + seed)[None] + hard[:, :, None, None] + rate[:, :, None, None] * dx[:, None]
    error = np.exp(error + noise.luck * rng.standard_normal((m, *shape))).reshape(m, -1)
    return error.mean(axis=0).reshape(shape), Materials.of(error, np.ones(m), resamples=RESAMPLES)


def points_of(n: FloatArray, mae: FloatArray, test: Materials | None) -> LogPoints:
    """Return the points of one arm from MAE (sizes, seeds)."""
    return log_points(np.repeat(n, mae.shape[1]), mae.ravel(), test=test)


@dataclass(frozen=True)
class Cell:
    """One law, number of sizes and seeds, and kind of noise."""

    law: str
    sizes: int
    seeds: int
    noise: Noise
    tested: bool = True  # whether predictions are there

    @property
    def entropy(self) -> list[int]:
        """Numbers that seed the simulation of this cell."""
        name = [*self.law.encode(), *self.noise.name.encode()]
        return [2718, self.sizes, self.seeds, int(self.tested), *name]


def one_study(cell: Cell, rng: np.random.Generator) -> dict[str, Any]:
    """Simulate and fit one study; every entry is whether an interval holds the truth, or a width, or a name."""
    n = np.geomspace(FIRST, LAST, cell.sizes)
    transfer, exponent = truth(cell.law)
    at = float(transfer(np.log([CROSSING]))[0])
    arms: list[tuple[str, Curve]] = [
        ("power", lambda x: at - 0.8 * (x - np.log(CROSSING))),
        (cell.law, transfer),
        (cell.law, lambda x: transfer(x) + np.log(2)),
    ]
    mae, materials = simulate(rng, [f for _, f in arms], np.log(n), cell.seeds + 1, cell.noise)
    mae, new = mae[..., :-1], mae[1, :, -1]  # of the second arm a run more at every size, which no law sees
    columns = np.arange(mae.size // cell.seeds * (cell.seeds + 1)).reshape(*mae.shape[:2], -1)[..., :-1]
    block = columns.reshape(len(arms), -1)
    points = [points_of(n, mae[i], materials.runs(block[i]) if cell.tested else None) for i in range(3)]
    laws = [fit_law(p, name) for p, (name, _) in zip(points, arms, strict=True)]
    _, low, high = laws[1].parameters()["exponent"]
    result: dict[str, Any] = {"exponent": low <= exponent <= high, "width": high - low}
    result["band"] = float(np.mean(holds(laws[1], INSIDE, np.exp(transfer(np.log(INSIDE))))))
    result["run"] = float(np.mean(holds(laws[1], n, new, run=True)))
    for key, i in (("met", 0), ("none", 2)):
        both = materials.runs(np.r_[block[i], block[1]]) if cell.tested else None
        found = crossover(laws[i], laws[1], test=both)
        result[key] = found.low <= CROSSING <= found.high if key == "met" else found.better_above == ""
        if key == "met":
            result["established"] = found.better_above != ""
            closed = bool(found.better_above) and found.low > 0
            result["ratio"] = found.high / found.low if closed else np.inf
    return result | together(points[:2], arms[:2]) | far_away(points[1], laws[1], transfer)


def together(points: Sequence[LogPoints], arms: Sequence[tuple[str, Curve]]) -> dict[str, Any]:
    """Return whether the simultaneous intervals of two exponents hold both, and the shape test of the second curve."""
    exponents = [truth(name)[1] if i else 0.8 for i, (name, _) in enumerate(arms)]
    laws = [fit_law(p, name, confidence=1 - 0.05 / 2) for p, (name, _) in zip(points, arms, strict=True)]
    ends = [law.parameters()["exponent"][1:] for law in laws]
    shape = shape_of(points[1])
    both = all(low <= a <= high for a, (low, high) in zip(exponents, ends, strict=True))
    return {"both": both, "alarm": shape.monotone is False, "bent": shape.convex is False}


def far_away(points: LogPoints, own: Law, curve: Curve) -> dict[str, Any]:
    """Return which extrapolations by ten hold the truth, whether the chosen law gives one, and the back-test."""
    n, far = np.array([10 * LAST]), np.exp(curve(np.log([10 * LAST])))
    chosen, every = choose(score(points)), {own.name: own}
    for law in LAWS:
        with contextlib.suppress(LawRefused):
            every[law] = every.get(law) or fit_law(points, law)
    hit = {name: bool(holds(law, n, far)[0]) for name, law in every.items()}
    said = not out_of_reach(every[chosen], every.get("saturating"), 10 * LAST)
    result = {"far": hit[own.name], "far_chosen": hit[chosen], "far_any": any(hit.values()), "chosen": chosen}
    result |= {"said": said, "far_said": hit[chosen] if said else np.nan}
    try:
        return result | {"back": back_test(points).hit}
    except LawRefused:
        return result | {"back": np.nan}


def holds(law: Law, n: FloatArray, true: FloatArray, *, run: bool = False) -> FloatArray:
    """Return whether the interval of a law, or of one new run, holds the truth at some sizes."""
    _, low, high = law.predict_run(n) if run else law.predict(n)
    return np.asarray((low <= true) & (true <= high), dtype=np.float64)


def run_cell(cell: Cell, studies: int) -> dict[str, Any]:
    """Return the coverage of one cell; a refused law has its reason."""
    rng, begin = np.random.default_rng(cell.entropy), time.process_time()
    about = {"law": cell.law, "sizes": cell.sizes, "seeds": cell.seeds, "noise": cell.noise.name, "tested": cell.tested}
    try:
        rows = [one_study(cell, rng) for _ in range(studies)]
    except LawRefused as refusal:
        return about | {"refused": str(refusal)}
    found = {k: float(np.nanmean([r[k] for r in rows] or [np.nan])) for k in SHARES if known(rows, k)}
    found |= {f"median_{k}": float(np.median([r[k] for r in rows])) for k in ("width", "ratio")}
    names = [r["chosen"] for r in rows]
    found["median_ratio"] = found["median_ratio"] if np.isfinite(found["median_ratio"]) else -1.0
    chosen = {law: names.count(law) / studies for law in LAWS}
    return about | found | {"studies": studies, "chosen": chosen, "seconds": round(time.process_time() - begin)}


def known(rows: Sequence[Mapping[str, Any]], key: str) -> bool:
    """Return whether any study has an entry."""
    return any(np.isfinite(row[key]) for row in rows)


FAR = ("far", "far_chosen", "far_any", "said", "far_said")
SHARES = ("exponent", "band", "run", "met", "none", "established", "both", "alarm", "bent", "back", *FAR)
SHOWN = ("law", "sizes", "seeds", "noise", *CLAIMED, "seconds", "refused")


def main_cells() -> list[Cell]:
    """Return every law with several numbers of sizes and seeds."""
    return [Cell(law, k, m, Noise()) for law in LAWS for k, m in SHAPES]


def more_cells() -> list[Cell]:
    """Return cells with eight sizes, and of what the intervals do not assume."""
    plain = [Cell(law, 8, 3, Noise()) for law in LAWS]
    other = [
        Noise("seed scatter of 15 %", seed=0.15),
        Noise("30 test materials", materials=30),
        Noise("long tails (e^1.2)", difficulty=1.2),
        Noise("30 test materials, long tails", materials=30, difficulty=1.2),
        Noise("law missed by 5 % at each size", misfit=0.05),
        Noise("errors of a seed half correlated between sizes", correlation=0.5),
    ]
    stress = [Cell("power", k, 3, noise) for noise in other for k in SIZES]
    stress += [Cell("power", k, 3, Noise(), tested=False) for k in SIZES]
    stress += [Cell("power", k, 1, Noise(), tested=t) for t in (True, False) for k in SIZES]
    return plain + stress + [Cell(law, 6, 3, other[0]) for law in LAWS[1:]] + [Cell("power", 3, 3, Noise())]


def main() -> None:
    """Simulate, or write the tables of a record into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=150, help="per cell; two thirds of them for other noise")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RECORD)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    if options.page:
        options.page.write_text(
            fill(options.page.read_text(encoding="utf-8"), page_tables(json.loads(RECORD.read_text(encoding="utf-8"))))
        )
        return
    cells = [(c, options.studies) for c in main_cells()] + [(c, options.studies * 2 // 3) for c in more_cells()]
    found = []
    for result in Parallel(n_jobs=options.jobs, return_as="generator")(delayed(run_cell)(*cell) for cell in cells):
        print({k: v for k, v in result.items() if k in SHOWN}, flush=True)
        found.append(result)
    filters = [run_filter(cell, 5 * options.studies) for cell in filter_cells()]
    settings = {"first": FIRST, "last": LAST, "crossing": CROSSING, "resamples": RESAMPLES, "noise": asdict(Noise())}
    record = {"settings": settings, "versions": provenance.versions(), "hardware": provenance.hardware()}
    options.out.write_text(json.dumps(record | {"cells": found, "filters": filters}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
