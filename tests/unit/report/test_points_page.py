"""The page of a study of given points."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from uprung import scaling
from uprung.config.laws import Laws
from uprung.config.points import PointsStudy
from uprung.figures.style import new_figure, save
from uprung.report.points_page import points_page
from uprung.report.results import PointsResults, where
from uprung.report.sections import crossovers, law_limits
from uprung.report.sections import laws as laws_section
from uprung.scaling.points import read_points

STUDY = PointsStudy.model_validate(
    {
        **{"study": "mine", "points": "my.csv", "scratch": "scratch", "smallest": 150.0, "x_label": "structures"},
        **{"labels": {"ours": "our <arm>"}, "report": {"limits": ["Made up"]}},
    }
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("points")
    rows = [
        {"n": n, "arm": arm, "target": "energy", "mae": c * n**-a}
        for arm, c, a in (("scratch", 30.0, 0.6), ("ours", 1.0, 0.2))
        for n in (100, 300, 1000, 3000, 10_000)
    ]
    pd.DataFrame([*rows, {"n": 0, "arm": "ours", "target": "energy", "mae": 2.0}]).to_csv(
        folder / "my.csv", index=False
    )
    points = read_points(folder / "my.csv", smallest=150)
    curves = points.curves.assign(mae=lambda t: t["mae"] * (1 + 0.02 * np.cos(np.arange(len(t)))))
    tables = scaling.law_tables(
        curves, Laws(extrapolate=[100_000.0, 15_000.0], errors={"energy": [0.05]}), scratch="scratch"
    )
    names = ("learning-curves", "law-comparison", "data-multiplier")
    for name in names:
        figure, _ = new_figure(width=2, height=1)
        save(figure, folder / name)
    results = PointsResults(
        curves=curves,
        **tables,
        left_out=points.left_out,
        figures={name: folder / f"{name}.svg" for name in names},
    )
    return points_page(STUDY, results, digest="ab" * 32, command="snakemake scaling")


def test_the_page_says_what_the_points_are_and_what_they_cannot_show(page: str) -> None:
    text = re.sub(r"\s+", " ", page)
    for words in (
        "Points from my.csv: 10 runs",
        "Laws use sizes from 150 on",
        "There is one seed",
        "The predictions are unknown",
        "scatter of size means; one seed",
        "Made up.",
        "our &lt;arm&gt;",
        "a size of 0 has no place",
        "n = 100,000",
        "abab",
    ):
        assert words in text, words


def test_nothing_of_a_study_that_trains_stands_on_it(page: str) -> None:
    for word in ("pseudo", "nan", "Forgetting", "geometry-free", "References", "epochs"):
        assert word not in re.sub(r"<(style|script).*?</\1>", "", page, flags=re.DOTALL), word
    for target in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{target}"' in page


LITHIUM = Path(__file__).parents[3] / "data/paper/lithium_points.csv"
#: Log-log least squares of the second published curve: exponents of scratch and fine-tuned.
EXPONENTS = {"energy": (0.364, 0.021), "force": (0.087, 0.054), "stress": (0.094, 0.070)}


@pytest.fixture(scope="module")
def lithium() -> dict[str, pd.DataFrame]:
    points = read_points(LITHIUM)
    assert list(points.left_out["mae"]) == pytest.approx([0.1659, 0.1482, 1.19, 7.9497])
    curves = points.curves
    return scaling.law_tables(curves, Laws(law="power", extrapolate=[10_000.0]), scratch="scratch") | {"curves": curves}


def test_the_second_published_curve_has_the_known_exponents(lithium: dict[str, pd.DataFrame]) -> None:
    found = lithium["laws"].set_index(["target", "arm"])["exponent"]
    for target, (scratch, transfer) in EXPONENTS.items():
        assert found[target, "scratch"] == pytest.approx(scratch, abs=6e-4)
        assert found[target, "transfer"] == pytest.approx(transfer, abs=6e-4)


def test_three_sizes_and_one_seed_support_nothing_but_the_exponents(lithium: dict[str, pd.DataFrame]) -> None:
    laws, labels = lithium["laws"], {"scratch": "scratch", "transfer": "fine-tuned"}
    assert set(laws["df"]) == {1}
    assert laws["shape"].str.startswith("noise unknown (one seed)").all()
    assert (lithium["extrapolation"]["reason"].str.contains("too few sizes for evidence against a floor")).all()
    assert lithium["extrapolation"]["mae"].isna().all()
    assert set(lithium["crossover"]["kind"]) == {"none"}
    assert lithium["back_test"]["predicted"].isna().all()
    for target in EXPONENTS:
        here = laws[laws["target"] == target]
        words = " ".join(laws_section.fitted_laws(here, labels, target=target))
        assert f"Three sizes and one seed say nothing about the form of the {target} curve" in words
        assert "do not single out one arm" in words
        assert "falls fastest" not in words
        crossings = where(lithium["crossover"], target=target)
        assert "(one seed, spread unknown)" in " ".join(crossovers.overtaking(crossings, labels, target=target))
        multiplier = where(lithium["multiplier"], target=target)
        for sentence in crossovers.multipliers(multiplier, labels, target=target):
            assert "one seed, spread unknown" in sentence
    assert "rises from n = 84 to 420" in laws.set_index(["target", "arm"]).loc[("energy", "transfer"), "shape"]
    limits = " ".join(law_limits.law_limits(laws, lithium["crossover"], lithium["comparison"]))
    assert "6 laws have three sizes and one seed: one degree of freedom" in limits
