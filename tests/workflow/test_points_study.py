"""A study of given points, run by real Snakemake: laws, figures and a page without any training."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from workplace import Workplace

STUDY = "config/points.yaml"
RUN_TIMEOUT = 300
MINE = ("--config", "points=my.csv", "study=mine")


def my_points() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    rows = [
        {"n": n, "arm": arm, "seed": seed, "target": "energy", "mae": c * n**-a * np.exp(0.03 * rng.standard_normal())}
        for arm, c, a in (("scratch", 30.0, 0.6), ("ours", 1.0, 0.2))
        for n in (100, 300, 1000, 3000, 10_000)
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows)


def run(place: Workplace, *options: str):
    return place.snakemake("scaling", "--cores", "1", *options, study=STUDY, timeout=RUN_TIMEOUT)


def test_a_table_of_ones_own_gives_laws_figures_and_a_page(fresh: Workplace) -> None:
    my_points().to_csv(fresh.folder / "my.csv", index=False)
    done = run(fresh, *MINE)
    assert done.returncode == 0, done.stdout
    results = fresh.folder / "results/mine"
    laws = pd.read_csv(results / "scaling/laws.csv").set_index("arm")
    assert laws.loc["scratch", "exponent"] == pytest.approx(0.6, abs=0.05)
    assert laws.loc["ours", "exponent_low"] < 0.2 < laws.loc["ours", "exponent_high"]
    crossing = pd.read_csv(results / "scaling/crossover.csv").iloc[0]
    assert crossing["low"] < 30 ** (1 / 0.4) < crossing["high"]
    multiplier = pd.read_csv(results / "scaling/multiplier_curve.csv")
    assert (multiplier["low"] <= multiplier["multiplier"]).all()
    for name in ("learning-curves", "data-multiplier", "law-comparison"):
        assert (results / f"figures/{name}.svg").stat().st_size > 1000
    page = (results / "report.html").read_text()
    for words in (
        "Points from my.csv: 20 runs",
        "The predictions are unknown",
        "Labels that the law of each arm needs",
    ):
        assert words in re.sub(r"\s+", " ", page)
    assert not re.search(r"<(?:script|img|link)[^>]+(?:src|href)=[\"']https?:", page)
    assert [p.name for p in (fresh.folder / "results").iterdir()] == ["mine"]
    # nothing to be done until the table changes
    again = run(fresh, "-n", *MINE)
    assert "Nothing to be done" in again.stdout, again.stdout
    my_points().assign(mae=lambda t: 2 * t["mae"]).to_csv(fresh.folder / "my.csv", index=False)
    assert "read_points" in run(fresh, "-n", *MINE).stdout


BAD = {
    "two sizes": (lambda t: t[t["n"] <= 300], "no curve has 3 sizes"),
    "duplicated": (lambda t: pd.concat([t, t.iloc[:1]]), "1 duplicated row"),
    "zero": (lambda t: t.assign(mae=0), "positive error"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_points_stop_the_first_job_with_one_message(fresh: Workplace, name: str) -> None:
    change, message = BAD[name]
    change(my_points()).to_csv(fresh.folder / "my.csv", index=False)
    done = run(fresh, *MINE)
    assert done.returncode != 0
    log = (fresh.folder / "results/mine/logs/scaling/curves.log").read_text()
    assert message in log
    assert "my.csv" in log
    assert not Path(fresh.folder / "results/mine/scaling/laws.csv").exists()


def test_a_missing_table_and_a_key_of_another_study_are_told_before_any_job(fresh: Workplace) -> None:
    done = run(fresh, *MINE)
    assert "file 'my.csv' does not exist" in done.stdout
    assert "Job stats" not in done.stdout
    done = run(fresh, "--config", "seeds=[1]")
    assert "seeds: unknown key" in done.stdout


def test_two_studies_run_side_by_side_in_one_folder(fresh: Workplace) -> None:
    my_points().to_csv(fresh.folder / "my.csv", index=False)
    names = ("one", "two")
    started = [
        fresh.start(
            *(f"results/{name}/scaling/curves.csv", "--cores", "1", "--config", "points=my.csv", f"study={name}"),
            study=STUDY,
        )
        for name in names
    ]
    for name, process in zip(names, started, strict=True):
        output, _ = process.communicate(timeout=RUN_TIMEOUT)
        assert process.returncode == 0, output
        assert (fresh.folder / f"results/{name}/scaling/curves.csv").exists()
