"""Sides of a comparison in processes of their own, and what memory they take, in MiB (2²⁰ bytes)."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[1]
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class ChildError(RuntimeError):
    """The process of a side ended; the message has the last lines that it wrote."""


class Child:
    """One side of a comparison in a process of its own, so that its memory and its imports are its own.

    The process makes the object that `target` names and calls the methods that `ask` names; both sides can wait
    at once, so that their timed runs alternate without starting anew.

    Args:
        target: `module:callable`, importable from the folder of the benchmarks.
        threads: threads of numerical libraries in it; None leaves that to them.
        settings: keyword arguments of the callable, as JSON can hold them.

    Attributes:
        startup: seconds that its imports and its preparation took.

    Raises:
        ChildError: the process ended instead of answering.
    """

    def __init__(self, target: str, *, threads: int | None = 1, **settings: Any) -> None:
        """Start the process and wait until it is ready."""
        self._target = target
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (closed with the child)
        paths = [str(ROOT / "benchmarks"), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, "-c", "import sides; sides.serve()", target, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
            | ({} if threads is None else dict.fromkeys(THREAD_VARIABLES, str(threads))),
        )
        self.startup: float = self._answer()

    def ask(self, method: str) -> Any:
        """Call a method without arguments and return its answer."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(method + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            self._errors.seek(0)
            last = "\n".join(self._errors.read().splitlines()[-15:])
            self.close()
            raise ChildError(f"{self._target} ended with status {status}:\n{last}")
        return json.loads(line)

    def close(self) -> None:
        """Let the process end."""
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._process.wait()

    def __enter__(self) -> Self:
        """Return the running child."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the process end."""
        self.close()


def serve() -> None:
    """Be a `Child`: make the object that the arguments name, then answer one line of JSON for every line read."""
    target, settings = sys.argv[1:3]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print must not pass for an answer
    began = time.perf_counter()
    module, name = target.split(":")
    side = getattr(importlib.import_module(module), name)(**json.loads(settings))
    print(json.dumps(time.perf_counter() - began), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(getattr(side, line.strip())()), file=answers, flush=True)


def in_turn(repeats: int, sides: Sequence[str]) -> Iterable[str]:
    """Yield the sides of every repeat, each repeat in the reverse order of the one before, against a steady drift."""
    for repeat in range(repeats):
        yield from sides if repeat % 2 == 0 else reversed(sides)


# ------------------------------------------------------------------------------------------------------------ memory


def memory(field: str, pid: int | str = "self") -> float | None:
    """Return VmHWM (peak), VmRSS or RssAnon (private) of a process in MiB; None where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
    return None


def reset_peak(pids: Iterable[int]) -> None:
    """Let the peak memory of processes start anew; where the system forbids it, peaks count from their start."""
    for pid in pids:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="utf-8")


def highest(values: Iterable[float | None]) -> float | None:
    """Return the largest of the values that are known."""
    known = [value for value in values if value is not None]
    return max(known) if known else None
