"""Time of a whole study, the demo by default, made in a fresh folder: jobs, CPU seconds and wall time by stage.

python benchmarks/demo.py                                       the demo on two cores; ten minutes, 200 MB of disk
python benchmarks/demo.py --configfile config/dimers.yaml       another study
python benchmarks/demo.py --config steps=20 --folder /tmp/short --keep

CPU time of Snakemake's own process is read while it runs, that of all jobs together is what the system charges for
them. By stage it is what Snakemake's timers saw, which look twice a second and miss the ends of short jobs; the last
row but one is the rest. Writes `benchmarks/results/demo-<machine>.json`, or where `--output` says.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import record

ROOT = Path(__file__).parents[1]
PARTS = ("Snakefile", "config", "data", "docs", "envs", "profiles", "rules", "scripts", "src")
#: Folder of a job's timer below `benchmarks/` -> stage; a run's jobs are told apart by the name of the file.
STAGES = {
    "training": ("train", "tune", "pretraining"),
    "tests of runs": ("evaluate", "untouched", "forgetting", "holes"),
    "frames, pairs, split": ("frames", "pairs", "split", "order", "sizes"),
    "energy shift": ("analysis",),
    "reference energies": ("references", "atomref"),
    "graphs": ("graphs",),
    "softening": ("softening",),
    "properties of crystals": ("physics",),
}
OTHERS = "curves, laws, figures, report"


def copied(folder: Path) -> None:
    """Copy what a study needs of this checkout."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy2(ROOT / part, folder / part)


def own_seconds(pid: int) -> float:
    """Return the CPU time of a process without its children, s; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def made(folder: Path, arguments: Sequence[str], log: Path) -> dict[str, float]:
    """Run Snakemake in a folder; return wall time and CPU time of all jobs and of Snakemake itself, s.

    Raises:
        SystemExit: Snakemake failed.
    """
    begin, parent = time.monotonic(), 0.0
    with log.open("w", encoding="utf-8") as stream:
        command = [sys.executable, "-m", "snakemake", *arguments]
        process = subprocess.Popen(command, cwd=folder, stdout=stream, stderr=subprocess.STDOUT)
        while True:
            parent = max(parent, own_seconds(process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.2)
    if status:
        raise SystemExit(f"Snakemake failed: {log}\n{log.read_text(encoding='utf-8')[-2000:]}")
    total = usage.ru_utime + usage.ru_stime
    return {"wall": time.monotonic() - begin, "cpu": total, "parent": parent, "jobs": total - parent}


def stage_of(timer: Path) -> str:
    """Return the stage of a job from its timer's file, relative to `benchmarks/`."""
    first = timer.parts[0].removesuffix(".tsv")
    key = timer.stem if first == "runs" else first
    return next((stage for stage, keys in STAGES.items() if key in keys), OTHERS)


def by_stage(folder: Path) -> dict[str, dict[str, float]]:
    """Return number, CPU and wall time (s) of the jobs of every stage."""
    found = {stage: {"jobs": 0, "cpu": 0.0, "wall": 0.0} for stage in (*STAGES, OTHERS)}
    for timer in sorted(folder.rglob("*.tsv")):
        with timer.open(encoding="utf-8") as stream:
            row = next(csv.DictReader(stream, delimiter="\t"))
        stage = found[stage_of(timer.relative_to(folder))]
        stage["jobs"] += 1
        stage["wall"] += float(row["s"])
        stage["cpu"] += float(row["cpu_time"] or 0) if row["cpu_time"] != "NA" else 0.0
    return {stage: values for stage, values in found.items() if values["jobs"]}


def table(result: dict[str, Any]) -> str:
    """Return a result as Markdown."""
    stages, total = result["stages"], result["total"]
    seen = {key: sum(stage[key] for stage in stages.values()) for key in ("jobs", "cpu", "wall")}
    lines = ["| stage | jobs | CPU, s | time of jobs, s |", "| --- | --: | --: | --: |"]
    lines += [f"| {name} | {s['jobs']} | {s['cpu']:,.0f} | {s['wall']:,.0f} |" for name, s in stages.items()]
    lines += [
        f"| not seen by the timers | | {total['jobs'] - seen['cpu']:,.0f} | |",
        f"| Snakemake itself | | {total['parent']:,.0f} | |",
        f"| all | {seen['jobs']} | {total['cpu']:,.0f} | {total['wall']:,.0f} from start to end |",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make a study and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", default="config/demo.yaml", help="study file, relative to the checkout")
    parser.add_argument("--config", nargs="*", default=[], help="keys of the study file with other values")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where it is made; default: a temporary folder")
    parser.add_argument("--keep", action="store_true", help="leave the folder")
    parser.add_argument("--output", type=Path, default=record.default_path("demo"))
    given = parser.parse_args(arguments)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="uprung-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    copied(folder)
    load = os.getloadavg()[0]
    options = ["--cores", str(given.cores), "--configfile", given.configfile]
    options += ["--config", *given.config] if given.config else []
    total = made(folder, options, folder / "snakemake.log")
    (timers,) = folder.glob("results/*/benchmarks")
    result = {
        "benchmark": "demo",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": record.commit(),
        "load": load,
        "hardware": record.hardware(),
        "versions": record.versions(),
        "settings": {"configfile": given.configfile, "config": given.config, "cores": given.cores},
        "total": total,
        "stages": by_stage(timers),
    }
    given.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(result))
    if not given.keep and not given.folder:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
