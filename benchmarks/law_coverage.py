"""How often the intervals of scaling laws hold the truth, and how often the right law is chosen, in simulated studies.

A simulated study has two arms with known laws, seeds with errors of their own, and test materials that all runs share:
some are harder than others at all sizes, some learn faster, and each run has its luck with each. What a real study
would have is all that the fits get: the mean errors of the runs and a bootstrap over the test materials.

    python benchmarks/law_coverage.py                                   # a quarter of an hour on two idle cores
    python benchmarks/law_coverage.py --studies 20 --out short.json     # short
    python benchmarks/law_coverage.py --page docs/laws.md               # the tables of the record into the page
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from uprung.job import provenance
from uprung.laws import (
    LAWS,
    TITLES,
    FloatArray,
    Law,
    LawRefused,
    LogPoints,
    choose,
    crossover,
    fit_law,
    log_points,
    score,
)

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "benchmarks/results/law-coverage.json"
FIRST, LAST, CROSSING, MIDDLE = 100.0, 10_000.0, 3000.0, 1000.0
RESAMPLES = 200
SEEDS, SIZES = (2, 3, 5), (4, 6)


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
) -> tuple[FloatArray, FloatArray]:
    """Return MAE (arms, sizes, seeds) and the bootstrap covariance of all ln MAE, flattened in that order."""
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
    draws = rng.multinomial(m, np.full(m, 1 / m), size=RESAMPLES)
    return error.mean(axis=0).reshape(shape), np.cov(np.log(draws @ error / m), rowvar=False)


def points_of(n: FloatArray, mae: FloatArray, test: FloatArray | None) -> LogPoints:
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
    mae, covariance = simulate(rng, [f for _, f in arms], np.log(n), cell.seeds, cell.noise)
    size = cell.sizes * cell.seeds
    block = [slice(i * size, (i + 1) * size) for i in range(3)]
    points = [points_of(n, mae[i], covariance[block[i], block[i]] if cell.tested else None) for i in range(3)]
    laws = [fit_law(p, name) for p, (name, _) in zip(points, arms, strict=True)]
    _, low, high = laws[1].parameters()["exponent"]
    result: dict[str, Any] = {"exponent": low <= exponent <= high, "width": high - low}
    for key, i in (("met", 0), ("none", 2)):
        both = np.r_[block[i], block[1]]
        found = crossover(laws[i], laws[1], test=covariance[np.ix_(both, both)] if cell.tested else None)
        result[key] = found.low <= CROSSING <= found.high if key == "met" else found.better_above == ""
        if key == "met":
            result["established"] = found.better_above != ""
            closed = bool(found.better_above) and found.low > 0
            result["ratio"] = found.high / found.low if closed else np.inf
    far = float(np.exp(transfer(np.log([10 * LAST]))[0]))
    result["far"] = holds(laws[1], far)
    chosen, every = choose(score(points[1])), {cell.law: laws[1]}
    for law in LAWS:
        with contextlib.suppress(LawRefused):
            every[law] = every.get(law) or fit_law(points[1], law)
    result["far_any"] = np.any([holds(law, far) for law in every.values()])
    return result | {"far_chosen": holds(every[chosen], far), "chosen": chosen}


def holds(law: Law, far: float) -> bool:
    """Return whether the interval of a law at ten times the largest size holds the truth."""
    _, low, high = law.predict(10 * LAST)
    return bool(low <= far <= high)


def run_cell(cell: Cell, studies: int) -> dict[str, Any]:
    """Return the coverage of one cell; a refused law has its reason."""
    rng, begin = np.random.default_rng(cell.entropy), time.process_time()
    about = {"law": cell.law, "sizes": cell.sizes, "seeds": cell.seeds, "noise": cell.noise.name, "tested": cell.tested}
    try:
        rows = [one_study(cell, rng) for _ in range(studies)]
    except LawRefused as refusal:
        return about | {"refused": str(refusal)}
    found = {k: float(np.mean([r[k] for r in rows])) for k in ("exponent", "met", "none", "established", *FAR)}
    found |= {f"median_{k}": float(np.median([r[k] for r in rows])) for k in ("width", "ratio")}
    names = [r["chosen"] for r in rows]
    found["median_ratio"] = found["median_ratio"] if np.isfinite(found["median_ratio"]) else -1.0
    chosen = {law: names.count(law) / studies for law in LAWS}
    return about | found | {"studies": studies, "chosen": chosen, "seconds": round(time.process_time() - begin)}


FAR = ("far", "far_chosen", "far_any")
SHOWN = ("law", "sizes", "seeds", "noise", "exponent", "met", "none", "far", "seconds", "refused")


def main_cells() -> list[Cell]:
    """Return every law with all numbers of sizes and seeds."""
    return [Cell(law, k, m, Noise()) for law in LAWS for k in SIZES for m in SEEDS]


def more_cells() -> list[Cell]:
    """Return cells with eight sizes, and of what the intervals do not assume."""
    plain = [Cell(law, 8, 3, Noise()) for law in LAWS]
    other = [
        Noise("seed scatter of 15 %", seed=0.15),
        Noise("30 test materials", materials=30),
        Noise("law missed by 5 % at each size", misfit=0.05),
        Noise("errors of a seed half correlated between sizes", correlation=0.5),
    ]
    stress = [Cell("power", k, 3, noise) for noise in other for k in SIZES]
    stress += [Cell("power", k, 3, Noise(), tested=False) for k in SIZES]
    stress += [Cell("power", k, 1, Noise(), tested=t) for t in (True, False) for k in SIZES]
    return plain + stress + [Cell(law, 6, 3, other[0]) for law in LAWS[1:]] + [Cell("power", 3, 3, Noise())]


# ------------------------------------------------------------------------------------------------------- the tables


def percent(value: float) -> str:
    """Return a coverage in per cent, marked where it is outside 92 to 98 %."""
    text = f"{100 * value:.1f}"
    return text if 0.92 <= value <= 0.98 else f"**{text}**"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def coverage_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return coverage by law, sizes and seeds."""
    rows = []
    for cell in found:
        start = [TITLES[cell["law"]], str(cell["sizes"]), str(cell["seeds"])]
        if "refused" in cell:
            rows.append([*start, *["refused"] * 4, "", ""])
            continue
        values = [percent(cell[k]) for k in ("exponent", "met", "none", "far")]
        ratio = f"{cell['median_ratio']:.1f}" if cell["median_ratio"] > 0 else "open"
        rows.append([*start, *values, f"{cell['median_width']:.2f}", ratio])
    head = [
        "law",
        "sizes",
        "seeds",
        "exponent",
        "crossover",
        "no crossover",
        "10 × largest",
        "width of a",
        "high / low",
    ]
    return table(head, rows)


def stress_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return coverage where something is not as the intervals assume."""
    rows = []
    for cell in found:
        what = cell["noise"] if cell["tested"] else f"{cell['noise']}, no predictions"
        values = [percent(cell[k]) for k in ("exponent", "met", "none", "far")]
        false = f"{100 * (1 - cell['chosen'][cell['law']]):.1f}"
        rows.append([what, TITLES[cell["law"]], str(cell["sizes"]), str(cell["seeds"]), *values, false])
    head = [
        "noise",
        "law",
        "sizes",
        "seeds",
        "exponent",
        "crossover",
        "no crossover",
        "10 × largest",
        "other law chosen",
    ]
    return table(head, rows)


def selection_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return how often each law is chosen, by the true one."""
    rows = []
    for cell in found:
        if "refused" in cell:
            continue
        chosen = [f"{100 * cell['chosen'][law]:.1f}" for law in LAWS]
        hit = LAWS.index(cell["law"])
        chosen[hit] = f"_{chosen[hit]}_"
        far = [percent(cell[k]) for k in FAR[1:]]
        rows.append([TITLES[cell["law"]], str(cell["sizes"]), str(cell["seeds"]), *chosen, *far])
    return table(["truth", "sizes", "seeds", *(TITLES[law] for law in LAWS), "chosen law", "any law"], rows)


def page_tables(record: Mapping[str, Any]) -> dict[str, str]:
    """Return name -> table of a record."""
    plain = [c for c in record["cells"] if c["noise"] == Noise().name and c["tested"] and c["seeds"] in SEEDS]
    main = [c for c in plain if c["sizes"] != 3]
    stress = [c for c in record["cells"] if c not in main]
    return {"coverage": coverage_table(main), "stress": stress_table(stress), "selection": selection_table(main)}


def fill(page: str, tables: Mapping[str, str]) -> str:
    """Return a page with its tables, which stand between <!-- name --> and <!-- /name -->, replaced."""
    for name, text in tables.items():
        page, count = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", lambda m, t=text: f"{m[1]}{t}\n{m[2]}", page, flags=re.DOTALL
        )
        if count != 1:
            raise ValueError(f"the page needs <!-- {name} --> and <!-- /{name} --> once; found {count}")
    return page


def main() -> None:
    """Simulate, or write the tables of a record into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000, help="per cell; 0.4 of them where assumptions are broken")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RECORD)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    if options.page:
        options.page.write_text(
            fill(options.page.read_text(encoding="utf-8"), page_tables(json.loads(RECORD.read_text(encoding="utf-8"))))
        )
        return
    cells = [(c, options.studies) for c in main_cells()] + [(c, options.studies * 2 // 5) for c in more_cells()]
    found = []
    for result in Parallel(n_jobs=options.jobs, return_as="generator")(delayed(run_cell)(*cell) for cell in cells):
        print({k: v for k, v in result.items() if k in SHOWN}, flush=True)
        found.append(result)
    settings = {"first": FIRST, "last": LAST, "crossing": CROSSING, "resamples": RESAMPLES, "noise": asdict(Noise())}
    record = {"settings": settings, "versions": provenance.versions(), "hardware": provenance.hardware()}
    options.out.write_text(json.dumps(record | {"cells": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
