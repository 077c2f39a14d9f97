"""The report page of a study of many runs: time to write it, its size, and time to open it in a browser.

python benchmarks/page.py results/demo --study config/demo.yaml             as it is, and with 1,000 and 10,000 runs

Runs are repeated under new seeds until there are so many, in every table that has seeds; laws and pictures stay those
of the study. Opened in a chromium without a window, from a file, three times; the clock stops when the page is loaded
and has drawn once. Needs playwright (make test) and chromium. Prints Markdown.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from playwright.sync_api import Browser, sync_playwright

from uprung.config.load import load_study
from uprung.report.results import StudyResults, read_results
from uprung.report.study_page import study_page

DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"


def repeated(table: pd.DataFrame, times: int) -> pd.DataFrame:
    """Return a table whose rows that name a seed are there so often, each time with other seeds."""
    if "seed" not in table or not len(table):
        return table
    numbers = pd.to_numeric(table["seed"], errors="coerce")
    step = int(numbers.max() if numbers.notna().any() else 0) + 1
    shifted = [table.assign(seed=numbers + k * step) for k in range(times)]
    return pd.concat(shifted, ignore_index=True)


def many(results: StudyResults, times: int) -> StudyResults:
    """Return the results of a study with so many times its runs."""
    own = {field.name: getattr(results, field.name) for field in dataclasses.fields(results)}
    for name, content in own.items():
        if isinstance(content, pd.DataFrame):
            own[name] = repeated(content, times)
        elif isinstance(content, dict) and all(isinstance(each, pd.DataFrame) for each in content.values()):
            own[name] = {key: repeated(each, times) for key, each in content.items()}
    return StudyResults(**own | {"cards": [*results.cards] * times})


def opened(browser: Browser, file: Path) -> float:
    """Return the seconds until a page is loaded and drawn."""
    page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
    begin = time.perf_counter()
    page.goto(file.as_uri(), wait_until="load")
    page.evaluate(DRAWN)
    seconds = time.perf_counter() - begin
    page.context.close()
    return seconds


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("results", type=Path)
    options.add_argument("--study", type=Path, required=True)
    options.add_argument("--runs", type=int, nargs="*", default=[1_000, 10_000])
    options.add_argument("--repeats", type=int, default=3)
    chosen = options.parse_args()
    study = load_study(yaml.safe_load(chosen.study.read_text(encoding="utf-8")))
    results = read_results(chosen.results, study)
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    print("| runs | written in, s | page, MB | opened in, s (lowest–highest) |\n| --: | --: | --: | --: |", flush=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for runs in (len(results.cards), *chosen.runs):
            times = int(np.ceil(runs / len(results.cards)))
            file, wanted = Path(folder) / f"{runs}.html", many(results, times)
            begin = time.perf_counter()
            file.write_text(study_page(study, wanted, command="benchmark"), encoding="utf-8")
            written = time.perf_counter() - begin
            seconds = [opened(browser, file) for _ in range(chosen.repeats)]
            spread = f"{statistics.median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f})"
            size = file.stat().st_size / 1e6
            print(f"| {len(wanted.cards):,} | {written:.1f} | {size:.1f} | {spread} |", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
