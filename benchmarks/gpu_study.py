"""Part of `gpu.py`: a whole small study through the workflow, killed while a network trains, and gone on with."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import yaml
from gpu_work import Options, Sink

ROOT = Path(__file__).parents[1]
STUDY = ROOT / "tests" / "workflow" / "micro.yaml"
STEPS = 300  # long enough to be killed within, on a GPU too
RUN = "runs/steps{steps}/checkpoint-ref/n240/seed0"


def study(options: Options, sink: Sink) -> None:
    """Run the study of the workflow's tests on the device; kill everything in its longest run; go on to the report."""
    place = options.output / "study"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    steps = STEPS if options.device == "cuda" else STEPS // 5
    content = yaml.safe_load(STUDY.read_text(encoding="utf-8"))
    content["training"] |= {"device": options.device, "validations": 10}
    content["steps"] = steps
    content["arms"] = {name: content["arms"][name] for name in ("scratch", "checkpoint-ref")}
    (place / "gpu.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    results = place / "results" / content["study"]
    run = RUN.format(steps=steps)

    began = time.monotonic()
    first = start(place, "killed", f"results/{content['study']}/{run}/model.pth.tar")
    state = results / "state" / run / "last.ckpt"
    while not state.exists() and first.poll() is None and options.left > 0:
        time.sleep(0.01)
    killed = first.poll() is None
    kill(first)
    log = results / "logs" / run / "train.log"
    sink("killed in its longest run", seconds=round(time.monotonic() - began, 1), ok=killed and state.exists())

    began = time.monotonic()
    for name, arguments in (("unlocked", ("--unlock",)), ("whole", ())):
        process = start(place, name, *arguments)
        try:
            status = process.wait(max(options.left, 1))
        except subprocess.TimeoutExpired:
            kill(process)
            sink("gone on with", note=f"no time was left; {last_line(place / f'{name}.log')}", ok=False)
            return
        if status:
            sink("gone on with", note=last_line(place / f"{name}.log"), ok=False)
            return
    text = log.read_text(encoding="utf-8")
    resumed = re.search(r"resumed at step (\d+)", text)
    sink(
        "gone on with, to the report",
        seconds=round(time.monotonic() - began, 1),
        resumed_at=int(resumed[1]) if resumed else None,
        ok=resumed is not None and (results / "report.html").is_file(),
        note="GPU in the log" if "GPU " in text else "no GPU in the log",
    )
    for history in sorted(results.glob("runs/**/history.csv")):
        card = yaml.safe_load((history.parent / "card.yaml").read_text(encoding="utf-8"))
        last = pd.read_csv(history).iloc[-1]
        name = str(history.parent.relative_to(results / "runs"))
        sink(name, seconds=card["wall_seconds"], resumed=card["resumed"], val_force=float(last["val_force"]))


def start(place: Path, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start Snakemake in a folder as the leader of a process group of its own; its output goes to a file."""
    command = [sys.executable, "-m", "snakemake", *arguments, "--snakefile", str(ROOT / "Snakefile"), "--cores", "all"]
    command += ["--workflow-profile", str(ROOT / "profiles" / "default"), "--configfile", "gpu.yaml"]
    with (place / f"{name}.log").open("wb") as stream:
        return subprocess.Popen(
            command,
            cwd=place,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a Snakemake with the jobs of its process group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def last_line(path: Path) -> str:
    """Return the last line of a file that says something, shortened."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line]
    return (errors or lines or ["no output"])[-1][:160]
