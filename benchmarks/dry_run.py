"""Time and memory of planning a study of many training runs, which nothing executes.

python benchmarks/dry_run.py          96, 996 and 9,996 runs: the demo with 7, 82 and 832 seeds

Prints a table in Markdown: runs, jobs, seconds, peak memory of Snakemake.
"""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def plan(seeds: int) -> tuple[int, int, float, float]:
    """Return runs, jobs, seconds and peak memory (MB, of the largest child so far) of a dry run of the demo."""
    study = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))
    study |= {"study": f"plan-{seeds}", "seeds": list(range(seeds))}
    study["tests"]["softening"]["runs"] = "none"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.yaml"
        file.write_text(yaml.safe_dump(study, allow_unicode=True), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--configfile", str(file)]
        begin = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - begin
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    counts = dict(re.findall(r"^(train_run|total) +(\d+)$", done.stdout + done.stderr, re.MULTILINE))
    runs, jobs = int(counts["train_run"]), int(counts["total"])
    return runs, jobs, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3


def main() -> None:
    """Print the table."""
    print("| training runs | jobs | dry run, s | memory, MB |\n| --: | --: | --: | --: |")
    for seeds in (7, 82, 832):
        runs, jobs, seconds, memory = plan(seeds)
        print(f"| {runs:,} | {jobs:,} | {seconds:.1f} | {memory:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
