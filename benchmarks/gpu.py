"""Everything about the engine on a GPU, in one command of eight minutes: numbers, times, variants, a study, kernels.

    python benchmarks/gpu.py OUTPUT                          all parts, as long as eight minutes allow
    python benchmarks/gpu.py OUTPUT --parts correct times    some of them
    python benchmarks/gpu.py OUTPUT --device cpu --minutes 3 --structures 16 --batch 4 8 --repeats 1   a rehearsal

Each part is a process of its own with a limit of its own, so that one that fails, hangs or runs out of memory is a row
with the reason. OUTPUT/PART.json is written as soon as a part ends, with all rows that it had by then, and
OUTPUT/gpu.json with all of them. See docs/performance.md for a machine without network.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]


class Part(NamedTuple):
    """A part: where its function is, what it does, and the longest that it may take in seconds."""

    function: str
    what: str
    seconds: int


#: In this order, so that what matters most is there when time runs out.
PARTS = {
    "correct": Part("gpu_parts:correct", "energies, forces, stresses, moments, gradients against the CPU", 75),
    "times": Part("gpu_parts:times", "steps of stock and packed, in turn", 100),
    "graphs": Part("gpu_variants:graphs", "CUDA graphs over padded size classes", 75),
    "study": Part("gpu_study:study", "a study through the workflow, killed and gone on with", 170),
    "profile": Part("gpu_parts:profile", "costliest kernels and the idle share", 45),
    "kernels": Part("gpu_variants:kernels", "kernels in Triton against PyTorch's operations", 30),
    "tf32": Part("gpu_variants:tf32", "products in TF32", 40),
    "compile": Part("gpu_variants:compiled", "torch.compile of pieces", 75),
    "most": Part("gpu_parts:most", "the largest batch at once", 60),
    "neighbours": Part("gpu_variants:neighbours", "batched neighbour lists on the device", 30),
}
_MARGIN = 5.0  # s before its limit at which a part stops measuring by itself


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts and print their rows; the exit status is 1 where one failed or a number is wrong."""
    options = parsed(arguments)
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    if options.part:
        return serve(options)
    began = time.monotonic()
    found = {"machine": machine(options), "settings": settings(options), "parts": {}}
    print(json.dumps(found["machine"], indent=1), flush=True)
    for name in options.parts:
        left = 60 * options.minutes - (time.monotonic() - began)
        found["parts"][name] = part = run_part(name, options, min(PARTS[name].seconds * options.stretch, left))
        write(output / f"{name}.json", part)
        write(output / "gpu.json", found)
        print(table(name, part), flush=True)
    print(f"\n{output / 'gpu.json'}, {time.monotonic() - began:.0f} s")
    return int(any(bad(part) for part in found["parts"].values()))


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line; ends the program where they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="folder of the results")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="default: all")
    parser.add_argument("--skip", nargs="+", choices=list(PARTS), default=[], help="parts to leave out")
    parser.add_argument("--minutes", type=positive, default=8.0, help="for all parts; default: 8")
    parser.add_argument("--stretch", type=positive, default=1.0, help="factor on the limit of each part; default: 1")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="default: cuda")
    parser.add_argument("--set", dest="set_name", default="headline", help="of sets.py; default: headline")
    parser.add_argument("--structures", type=int, default=256, help="of the set; default: 256")
    parser.add_argument("--batch", nargs="+", type=int, default=[16, 64, 256], help="default: 16 64 256")
    parser.add_argument("--repeats", type=int, default=10, help="of each side where time allows; default: 10")
    parser.add_argument("--backend", help="of torch.compile; default: inductor, aot_eager on a CPU")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--ends", type=float, help=argparse.SUPPRESS)  # by time.monotonic, one clock for all processes
    options = parser.parse_args(arguments)
    options.parts = [name for name in options.parts if name not in options.skip]
    if min(options.structures, options.repeats, *options.batch) < 1:
        parser.error("--structures, --repeats and --batch take numbers of 1 and more")
    options.backend = options.backend or ("inductor" if options.device == "cuda" else "aot_eager")
    return options


def positive(text: str) -> float:
    """Return a number above zero; ArgumentTypeError for another one."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return value


def serve(options: argparse.Namespace) -> int:
    """Be the process of a part."""
    from importlib import import_module

    from gpu_work import Options, Sink

    if options.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            sys.exit("torch sees no GPU here")
    module, function = PARTS[options.part].function.split(":")
    told = Options(
        device=options.device,
        set_name=options.set_name,
        structures=options.structures,
        batches=options.batch,
        repeats=options.repeats,
        output=options.output,
        ends=options.ends,
        backend=options.backend,
    )
    getattr(import_module(module), function)(told, Sink(rows_file(options.output, options.part)))
    return 0


def rows_file(output: Path, name: str) -> Path:
    """Return the file to which the process of a part adds its rows."""
    return output / f"{name}.rows.jsonl"


def run_part(name: str, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Run a part in a process of its own and return what it found: rows, seconds, and why it ended early if it did."""
    if seconds < 2 * _MARGIN:
        return {"what": PARTS[name].what, "rows": [], "seconds": 0.0, "error": "no time was left"}
    rows = rows_file(options.output, name)
    rows.unlink(missing_ok=True)
    began = time.monotonic()
    command = [sys.executable, __file__, str(options.output), "--part", name, "--ends", str(began + seconds - _MARGIN)]
    for option in ("device", "structures", "repeats", "backend"):
        command += [f"--{option}", str(getattr(options, option))]
    command += ["--set", options.set_name, "--batch", *map(str, options.batch)]
    log = options.output / f"{name}.log"
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        error = None
        try:
            if status := process.wait(seconds):
                error = f"status {status}: {last_line(log)}"
        except subprocess.TimeoutExpired:
            error = f"stopped after {seconds:.0f} s"
        finally:
            stop(process)
    part = {"what": PARTS[name].what, "rows": read_rows(rows), "seconds": round(time.monotonic() - began, 1)}
    return part | ({"error": error} if error else {})


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started in its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a part; a line that was being written when the part was stopped is left out."""
    rows = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                rows.append(json.loads(line))
    return rows


def last_line(path: Path) -> str:
    """Return the last line of a log that says something, shortened."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return (lines or ["no output"])[-1][:200]


def machine(options: argparse.Namespace) -> dict[str, Any]:
    """Return hardware and versions; no host name."""
    command = [sys.executable, "-c", "import json, record; print(json.dumps([record.hardware(), record.versions()]))"]
    paths = [str(ROOT / "src"), str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=True)
        hardware, versions = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        stderr = getattr(error, "stderr", None) or str(error)
        return {"error": stderr.strip().splitlines()[-1][:200]}
    return {"hardware": hardware, "versions": versions}


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the command line said."""
    names = ("device", "set_name", "structures", "batch", "repeats", "backend", "minutes", "parts")
    return {name: getattr(options, name) for name in names}


def write(path: Path, content: dict[str, Any]) -> None:
    """Write JSON that is complete or not there."""
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)


def bad(part: dict[str, Any]) -> bool:
    """Return whether a part failed or says that a number is not what it should be."""
    return "error" in part or any(row.get("ok") is False for row in part["rows"])


def table(name: str, part: dict[str, Any]) -> str:
    """Return the rows of a part as text: what, and each value with its name."""
    lines = [f"\n{name}: {part['what']} ({part['seconds']} s)"]
    width = max((len(row["what"]) for row in part["rows"]), default=0)
    for row in part["rows"]:
        values = [f"{key} {shown(value)}" for key, value in row.items() if key != "what" and value is not None]
        lines.append(f"  {row['what']:<{width}}  {'  '.join(values)}")
    return "\n".join([*lines, *([f"  ended early: {part['error']}"] if "error" in part else [])])


def shown(value: Any) -> str:
    """Return a value in few characters."""
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
