"""Run matcalc's SofteningBenchmark on a file of frames, in an interpreter that has matcalc; print its slopes.

Arguments: file of frames; `chgnet`, or a file of forces that stand for the predictions.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator
from matcalc.benchmark import SofteningBenchmark


class Given(Calculator):
    """Forces from a list, one entry per structure in the order in which they are asked for."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def __init__(self, forces: list[list[list[float]]]) -> None:
        super().__init__()
        self.given = iter(forces)

    def calculate(self, *arguments: Any, **options: Any) -> None:
        super().calculate(*arguments, **options)
        self.results = {"energy": 0.0, "forces": np.array(next(self.given)), "stress": np.zeros(6)}


def main(frames: str, predicted: str) -> None:
    """Print material -> slope as JSON."""
    with contextlib.redirect_stdout(io.StringIO()):
        if predicted == "chgnet":
            from chgnet.model import CHGNetCalculator

            calculator = CHGNetCalculator(use_device="cpu")
        else:
            calculator = Given(json.loads(Path(predicted).read_text(encoding="utf-8")))
        found = SofteningBenchmark(Path(frames)).run(calculator, "model")
    print(json.dumps(dict(zip(found["material_id"], found["softening_scale_model"], strict=True))))


if __name__ == "__main__":
    main(*sys.argv[1:])
