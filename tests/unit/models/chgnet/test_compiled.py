"""Compiled kernels: each equals PyTorch's, and none is used that is not what it was when it was compiled."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from uprung.models.chgnet import compiled
from uprung.models.chgnet.kernels import Kernels, Plain
from uprung.models.registry import architecture

N = 300  # more than a block of rows, and no multiple of it
NAMES = ("hidden", "output", "slope", "columns", "columns_curved", "along", "curvature", "normalised", "only y")
NAMES += ("gathered", "gathered twice", "without common", "without a table", "scattered", "scattered twice")
NAMES += tuple(
    f"{name}{how}" for name in ("messages", "pulled", "pulled_curved") for how in ("", " twice", " by index")
)


def results(kernels: Kernels, name: str, dtype: torch.dtype, n: int = N) -> tuple[Tensor, ...]:
    """Return what a kernel makes of the same random numbers."""
    draw = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=draw).to(dtype)

    a, scale, shift, p, t = 3 * normal(n, 128), normal(2, 1, 64), normal(2, 1, 64), normal(n, 64), normal(2, n, 64)
    s, d, sigma = Plain().hidden(a)
    z, r, kl, slope, y = Plain().output(s + t, scale, shift)
    x = normal(n, 128).view(n, 2, 64).transpose(0, 1)  # core and gate of a row side by side
    few, others = normal(5, 128), normal(2, 128)
    i, j = (torch.randint(size, (n,), generator=draw) for size in (5, 2))
    half = n // 2
    twice = [torch.cat([i[:half], i[:half]]), torch.cat([j[:half], j[half : 2 * half]])]
    found = {
        "hidden": lambda: kernels.hidden(a),
        "output": lambda: kernels.output(x, scale, shift),
        "slope": lambda: kernels.slope(p, scale, z, r, slope),
        "columns": lambda: kernels.columns(t, d),
        "columns_curved": lambda: kernels.columns_curved(x, d, t, s, sigma),
        "along": lambda: kernels.along(a, t, d),
        "curvature": lambda: kernels.curvature(x, p, scale, z, r, slope, t),
        "normalised": lambda: kernels.normalised(p, t, z, scale, z, r, kl, slope, y),
        "gathered": lambda: kernels.gathered(a, [few, others, few], [i, j, i.flip(0)]),
        "gathered twice": lambda: kernels.gathered(a[:half], [few, others], twice),
        "without common": lambda: kernels.gathered(None, [few, others], [i, j]),
        "without a table": lambda: kernels.gathered(a, [None, others, few], [i, j, i]),
        "scattered": lambda: _flat(kernels.scattered(a, [i, j, i], [5, 2, 7], n)),
        "scattered twice": lambda: _flat(kernels.scattered(a[: 2 * half], twice, [5, 2], half)),
        **{
            f"{name}{how}": lambda name=name, w=w, by=by, owner=owner: getattr(kernels, name)(
                t[0][: len(owner)],
                w,
                by,
                owner,
                *([7] if name == "messages" else [normal(7, 64)]),
                *([t[1][: len(owner)], normal(*w.shape)] if name == "pulled_curved" else []),
            )
            for name in ("messages", "pulled", "pulled_curved")
            for how, w, by, owner in (
                ("", p, None, i),
                (" twice", p[:half], None, i[: 2 * half]),
                (" by index", normal(2, 64), j, i),
            )
        },
        "only y": lambda: kernels.normalised(p, None, None, scale, z, r, kl, slope, y),
    }[name]()
    return found if isinstance(found, tuple) else (found,)


def _flat(found: tuple[Tensor, list[Tensor]]) -> tuple[Tensor, ...]:
    return found[0], *found[1]


@pytest.mark.parametrize("n", [0, 1, N])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "single"])
@pytest.mark.parametrize("name", NAMES)
def test_equals_pytorch(compiled_kernels: dict, name: str, dtype: torch.dtype, n: int) -> None:
    exact = results(Plain(), name, torch.float64, n)
    found = results(compiled_kernels[dtype], name, dtype, n)
    tolerance = 1e-12 if dtype == torch.float64 else 3e-5
    for value, expected in zip(found, exact, strict=True):
        assert value.dtype == dtype
        size = max(float(expected.abs().max()), 1.0) if expected.numel() else 1.0
        torch.testing.assert_close(value.double(), expected, rtol=tolerance, atol=tolerance * size)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "single"])
def test_sigmoids_of_all_sizes(compiled_kernels: dict, dtype: torch.dtype) -> None:
    x = torch.linspace(-120, 120, 64 * 200, dtype=torch.float64)
    x[:3] = torch.tensor([0.0, -1e30, 1e30])
    sigma = compiled_kernels[dtype].hidden(x.to(dtype).view(-1, 64).repeat(1, 2))[2]
    assert sigma.isfinite().all()
    torch.testing.assert_close(
        sigma[0].double().flatten(), torch.sigmoid(x.to(dtype).double()), rtol=4 * torch.finfo(dtype).eps, atol=1e-35
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "single"])
def test_what_second_derivatives_need_can_be_left_out(compiled_kernels: dict, dtype: torch.dtype) -> None:
    kernels, v = compiled_kernels[dtype], torch.randn(N, 128, dtype=dtype)
    s, d, sigma = kernels.hidden(v)
    *spared, nothing = kernels.hidden(v, once=True)
    assert nothing is None
    assert sigma is not None
    assert all(torch.equal(x, y) for x, y in zip(spared, (s, d), strict=True))
    one, zero = torch.ones(2, 1, 64, dtype=dtype), torch.zeros(2, 1, 64, dtype=dtype)
    z, r, nothing, slope, y = kernels.output(s, one, zero, once=True)
    assert nothing is None
    whole = kernels.output(s, one, zero)
    assert all(torch.equal(x, whole[k]) for k, x in ((0, z), (1, r), (3, slope), (4, y)))


def test_what_is_no_number_stays_none(compiled_kernels: dict) -> None:
    a = torch.full((1, 128), torch.nan)
    assert all(value.isnan().all() for value in compiled_kernels[torch.float32].hidden(a))


@pytest.mark.parametrize("index", [5, -1])
def test_an_index_beyond_its_table_is_refused(compiled_kernels: dict, index: int) -> None:
    kernels, table = compiled_kernels[torch.float32], torch.zeros(5, 128)
    indices = [torch.tensor([0, 4]), torch.tensor([1, index])]
    with pytest.raises(IndexError, match="beyond the rows"):
        kernels.gathered(None, [table, table], indices)
    with pytest.raises(IndexError, match="beyond the rows"):
        kernels.scattered(torch.zeros(2, 128), indices, [5, 5], 2)
    kernels.gathered(None, [table, None], indices)  # of a table that is missing no index is read


def test_nothing_is_changed_that_is_given(compiled_kernels: dict) -> None:
    v = torch.randn(5, 128)
    before, (s, d, sigma) = v.clone(), compiled_kernels[torch.float32].hidden(v)
    kept = [value.clone() for value in (s, d, sigma)]
    compiled_kernels[torch.float32].along(v, s, d)
    compiled_kernels[torch.float32].columns_curved(s, d, s, s, sigma)
    compiled_kernels[torch.float32].output(s, torch.ones(2, 1, 64), torch.zeros(2, 1, 64))
    assert torch.equal(v, before)
    assert all(torch.equal(value, copy) for value, copy in zip((s, d, sigma), kept, strict=True))


def test_a_card_says_what_computed(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = architecture("chgnet").new(0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert network.versions["kernels"] == "PyTorch"  # whose operations are faster then
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert network.versions["kernels"].startswith("compiled by ")
    fresh.with_suffix(".json").unlink()
    compiled.library.cache_clear()
    compiled._compiled.cache_clear()
    assert network.versions["kernels"] == "PyTorch"


@pytest.fixture
def fresh(built: pytest.MonkeyPatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the library and its note that a test may spoil."""
    for file in (compiled.LIBRARY, compiled.NOTE):
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(compiled, "LIBRARY", tmp_path / "libkernels.so")
    monkeypatch.setattr(compiled, "NOTE", tmp_path / "libkernels.json")
    for function in (compiled.library, compiled._compiled):
        function.cache_clear()
    yield tmp_path / "libkernels.so"
    for function in (compiled.library, compiled._compiled):
        function.cache_clear()


def test_the_variable_turns_them_off(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPRUNG_KERNELS", "plain")
    assert compiled.library() is None


def test_a_library_of_another_source_is_not_used(fresh: Path) -> None:
    note = json.loads(compiled.NOTE.read_bytes())
    compiled.NOTE.write_text(json.dumps(note | {"source": "0" * 64}))
    with pytest.warns(UserWarning, match=r"not used.*kernels.c has changed since.*python -m"):
        assert compiled.library() is None


def test_a_flipped_bit_is_seen(fresh: Path) -> None:
    content = bytearray(fresh.read_bytes())
    content[len(content) // 2] ^= 1
    fresh.write_bytes(content)
    with pytest.warns(UserWarning, match="not what it was when it was written"):
        assert compiled.library() is None


@pytest.mark.parametrize("spoil", [lambda file: file.unlink(), lambda file: compiled.NOTE.write_text("[]")])
def test_a_library_or_note_that_is_gone_or_broken(fresh: Path, spoil) -> None:
    spoil(fresh)
    with pytest.warns(UserWarning, match="PyTorch's operations are"):
        assert compiled.library() is None


def test_a_library_of_another_kind_of_machine_is_left_alone(fresh: Path) -> None:
    note = json.loads(compiled.NOTE.read_bytes())
    compiled.NOTE.write_text(json.dumps(note | {"machine": "z80"}))
    assert compiled.library() is None


def test_a_folder_that_cannot_be_written_is_said(monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path) -> None:
    monkeypatch.setattr(compiled, "SOURCE", tmp_path / "gone" / "kernels.c")
    assert compiled.main() == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_without_a_compiler_the_error_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("CC", "no-such-compiler --fast")
    assert compiled.main() == 1
    assert "no-such-compiler is not a program here" in capsys.readouterr().err


def test_other_devices_types_and_many_threads_have_pytorchs(
    built: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert isinstance(compiled.kernels_of(torch.zeros(1)), compiled.Compiled)
    assert isinstance(compiled.kernels_of(torch.zeros(1, dtype=torch.float16)), Plain)
    assert isinstance(compiled.kernels_of(torch.zeros(1, device="meta")), Plain)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert isinstance(compiled.kernels_of(torch.zeros(1)), Plain)
