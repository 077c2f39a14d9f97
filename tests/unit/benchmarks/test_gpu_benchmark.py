"""The GPU benchmark without a GPU: a part that fails or hangs costs no other, and what it computes is right."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import gpu
import gpu_parts
import gpu_variants
import pytest
import torch
from gpu_work import Options, Sink, against

from uprung.models.chgnet import gated_mlp

SCRIPT = Path(gpu.__file__).parent / "gpu_wheels.sh"
PARTS = {
    "good": ("sink('numbers', error=0.5, ok=True)", 60),
    "wrong": ("sink('numbers', error=2.0, ok=False)", 60),
    "failing": ("sink('before'); raise ValueError('no such kernel')", 60),
    "hanging": ("sink('before'); import time; time.sleep(600)", 12),
}


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Parts of a few words in place of the real ones, in a script of their own."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    shutil.copy(gpu.__file__, folder / "gpu.py")
    text = "\n".join(f"def {name}(options, sink):\n    {body}" for name, (body, _) in PARTS.items())
    (folder / "few.py").write_text(text)
    work = """
        import json
        from types import SimpleNamespace as Options

        class Sink:
            def __init__(self, path):
                self.path = path

            def __call__(self, what, **values):
                with self.path.open("a") as stream:
                    stream.write(json.dumps({"what": what, **values}) + chr(10))
        """
    (folder / "gpu_work.py").write_text(textwrap.dedent(work))
    known = {name: gpu.Part(f"few:{name}", name, seconds) for name, (_, seconds) in PARTS.items()}
    source = (folder / "gpu.py").read_text()
    table = "PARTS = {" + ", ".join(f"{name!r}: Part{tuple(part)!r}" for name, part in known.items()) + "}\n"
    start, end = source.index("PARTS = {"), source.index("_MARGIN = ")
    (folder / "gpu.py").write_text(source[:start] + table + source[end:])
    monkeypatch.setattr(gpu, "PARTS", known)
    monkeypatch.setattr(gpu, "__file__", str(folder / "gpu.py"))
    monkeypatch.setattr(gpu, "machine", lambda options: {})
    return tmp_path / "found"


def run(output: Path, *arguments: str) -> tuple[int, dict]:
    status = gpu.main([str(output), "--device", "cpu", *arguments])
    return status, json.loads((output / "gpu.json").read_text())["parts"]


def test_a_part_that_fails_or_hangs_is_a_row_with_the_reason(parts: Path, capsys: pytest.CaptureFixture) -> None:
    began = time.monotonic()
    status, found = run(parts, "--parts", "failing", "hanging", "good")
    assert status == 1
    assert "no such kernel" in found["failing"]["error"]
    assert found["hanging"]["error"] == "stopped after 12 s"
    assert found["failing"]["rows"] == found["hanging"]["rows"] == [{"what": "before"}]  # what they had is kept
    assert found["good"] == {"what": "good", "rows": [{"what": "numbers", "error": 0.5, "ok": True}]} | {
        "seconds": found["good"]["seconds"]
    }
    assert json.loads((parts / "hanging.json").read_text()) == found["hanging"]
    assert time.monotonic() - began < 60
    assert "ended early: stopped after 12 s" in capsys.readouterr().out


def test_numbers_that_are_wrong_are_the_exit_status(parts: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(parts, "--parts", "good")[0] == 0
    assert run(parts, "--parts", "wrong")[0] == 1
    assert "ok NO" in capsys.readouterr().out


def test_parts_after_the_last_minute_are_not_begun(parts: Path) -> None:
    _, found = run(parts, "--minutes", "0.05")
    assert [part["error"] for part in found.values()] == ["no time was left"] * len(PARTS)


def test_parts_can_be_left_out(parts: Path) -> None:
    assert list(run(parts, "--skip", "failing", "hanging", "wrong")[1]) == ["good"]


@pytest.mark.parametrize(
    "arguments", [["--minutes", "0"], ["--batch", "0"], ["--parts", "nothing"], ["--device", "tpu"]]
)
def test_wrong_options_are_refused(tmp_path: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        gpu.main([str(tmp_path), *arguments])
    assert refused.value.code == 2


def rows(tmp_path: Path, part, **changes) -> dict[str, dict]:
    """Run a part here on a few solids and return its rows by what they are about."""
    given = {"device": "cpu", "set_name": "solids", "structures": 5, "batches": [2], "repeats": 1, "backend": "eager"}
    options = Options(**given | {"output": tmp_path, "ends": time.monotonic() + 600} | changes)
    part(options, Sink(tmp_path / "rows.jsonl"))
    return {row.pop("what"): row for row in gpu.read_rows(tmp_path / "rows.jsonl")}


def test_the_same_device_has_the_same_numbers(tmp_path: Path) -> None:
    found = rows(tmp_path, gpu_parts.correct)
    checked = [row for row in found.values() if "ok" in row]
    assert len(checked) == 2 * 2 * 5  # precisions, ways to make a batch, quantities
    assert all(row["ok"] for row in checked)
    assert found["float64: forces"]["error"] == 0


def test_wrong_numbers_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = gpu_parts.packed_forward

    def wrong(model, batch, **options):
        found = true(model, batch, **options)
        object.__setattr__(found, "forces", found.forces * (1 + 1e-3))
        return found

    found_on = gpu_parts.found_on

    def on_a_wrong_device(work, rows, device, *others):
        monkeypatch.setattr(gpu_parts, "packed_forward", wrong if device == "cuda" else true)
        return found_on(work, rows, "cpu", *others)

    monkeypatch.setattr(gpu_parts, "found_on", on_a_wrong_device)
    found = rows(tmp_path, gpu_parts.correct, device="cuda")
    assert not found["float64: forces"]["ok"]
    assert not found["float32, padded: forces"]["ok"]
    assert not found["float64: gradient"]["ok"]
    assert found["float64: energy"]["ok"]


def test_static_steps_have_the_losses_and_gradients_of_ordinary_ones(tmp_path: Path) -> None:
    found = rows(tmp_path, gpu_variants.graphs)
    row = found["step of 2: loss and gradients against the step as it is"]
    assert row["ok"]
    assert row["error"] < 1e-4
    assert found["step of 2, CUDA graphs"]["ms"] > 0


def test_kernels_are_compared_and_put_back(tmp_path: Path) -> None:
    before = gated_mlp.kernels_of
    found = rows(tmp_path, gpu_variants.kernels)
    assert found["step of 2, Triton"]["ms"] > 0
    assert found["2000 rows, single products"]["ms"] > 0
    assert gated_mlp.kernels_of is before


@pytest.mark.long  # tracing takes more than a minute
def test_pieces_go_through_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gated_mlp, "kernels_of", gated_mlp.kernels_of)  # of the process that the part has else
    found = rows(tmp_path, gpu_variants.compiled)
    assert found["prediction, first with a compiled network"]["ok"]
    assert found["prediction of 2, compiled"]["ms"] > 0
    assert found["training: hidden, first step and gradients"]["ok"]


def test_a_gradient_that_is_missing_is_no_small_difference() -> None:
    one, other = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        p.grad, q.grad = torch.ones_like(p), torch.ones_like(q)
    assert gpu_variants.gradient_gap(one, other) == 0
    one.bias.grad = None
    assert gpu_variants.gradient_gap(one, other) == float("inf")


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_gradient_that_is_no_number_is_no_small_error(name: str, tmp_path: Path) -> None:
    truth = {"energy": torch.zeros(2), "gradient": {"a": torch.ones(2), "b": torch.ones(2)}}
    gradient = {**truth["gradient"], name: torch.tensor([1.0, torch.nan])}
    found = gpu_parts.errors({"energy": torch.tensor([0.0, 0.5]), "gradient": gradient}, truth)
    assert found["energy"] == 0.5
    assert math.isnan(found["gradient"])
    sink = Sink(tmp_path / "rows.jsonl")
    sink("gradient", error=found["gradient"], ok=found["gradient"] <= 1)
    assert gpu.read_rows(sink.path) == [{"what": "gradient", "error": "nan", "ok": False}]


def test_time_with_a_kernel_counts_once() -> None:
    assert gpu_parts.covered([(3, 4), (0, 2), (1, 2.5), (1.2, 1.3)]) == 3.5
    assert gpu_parts.covered([]) == 0


def test_ratios_are_of_the_medians() -> None:
    found = against({"stock": [4.0, 6.0, 5.0], "packed": [1.0, 1.0, 2.0]}, "stock", "packed")
    assert found == {"ratio": 5.0, "low_ratio": 2.5, "high_ratio": 6.0}
    assert against({"stock": [], "packed": [1.0]}, "stock", "packed") == {}


# ------------------------------------------------------------------------------------------------------------ wheels

PIP = """
import pathlib, sys
args = sys.argv[1:]
folder = pathlib.Path(args[args.index("--dest" if "--dest" in args else "--wheel-dir") + 1])
names = [a for a in args if "==" in a]
for name in names[{missing}:]:
    (folder / (name.replace("==", "-") + ".whl")).write_bytes(b"0" * {size})
"""


def wheels(tmp_path: Path, *, missing: int = 0, size: int = 10) -> subprocess.CompletedProcess[str]:
    """Run the script with a pip that makes wheels of some size, all but the first `missing` of a call."""
    (tmp_path / "pip.py").write_text(PIP.format(missing=missing, size=size))
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {tmp_path / "pip.py"} "$@"\n')
    python.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", str(SCRIPT), str(tmp_path / "wheels")], env=environment, capture_output=True, text=True, check=False
    )


def test_wheels_are_counted_and_weighed(tmp_path: Path) -> None:
    done = wheels(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "wheels for Python 3.12, 0.0 MiB of at most 55" in done.stdout


def test_a_folder_of_wheels_that_is_too_large_is_an_error(tmp_path: Path) -> None:
    done = wheels(tmp_path, size=2_000_000)
    assert done.returncode == 1
    assert "MiB, more than 55" in done.stderr


def test_a_missing_wheel_is_an_error(tmp_path: Path) -> None:
    done = wheels(tmp_path, missing=1)
    assert done.returncode == 1
    assert "wheels instead of" in done.stderr
