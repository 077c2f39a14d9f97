"""Kernels in Triton, where it is there, by its interpreter: each equals PyTorch's. Without it PyTorch's are used."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from uprung.models.chgnet import compiled
from uprung.models.chgnet.kernels import Plain

COMPARED = """
import sys, torch
sys.path.insert(0, {folder!r})
from test_compiled import NAMES, results
from uprung.models.chgnet.fused import Fused, probed
from uprung.models.chgnet.kernels import Plain
for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 3e-5)):
    for name in NAMES:
        for n in (0, 1, 70):
            found, exact = results(Fused(), name, dtype, n), results(Plain(), name, torch.float64, n)
            for value, wanted in zip(found, exact, strict=True):
                assert value.dtype == dtype and value.shape == wanted.shape, name
                size = max(float(wanted.abs().max()), 1.0) if wanted.numel() else 1.0
                torch.testing.assert_close(value.double(), wanted, rtol=tolerance, atol=tolerance * size)
probed(torch.device("cpu"))
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="this build of PyTorch brings no Triton")
def test_equals_pytorch() -> None:
    code = COMPARED.format(folder=str(Path(__file__).parent))
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_without_triton_pytorchs_operations_are_used_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uprung.models.chgnet.fused", None)  # as if it could not be imported
    compiled._on_gpu.cache_clear()
    with pytest.warns(UserWarning, match="Triton are not used, PyTorch's operations are: ModuleNotFoundError"):
        assert isinstance(compiled._on_gpu(0), Plain)
    compiled._on_gpu.cache_clear()
    monkeypatch.setenv("UPRUNG_KERNELS", "plain")
    assert isinstance(compiled._on_gpu(0), Plain)
    compiled._on_gpu.cache_clear()
