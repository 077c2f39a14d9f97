"""The kernels of a gated MLP in Triton, for GPUs: a launch each, where PyTorch needs one for every operation.

Formulas and names are those of `uprung.models.chgnet.gated_mlp`; `uprung.models.chgnet.compiled` decides whether they
are used. Triton comes with the builds of PyTorch for CUDA; it compiles a kernel when it is first called, with the C
compiler of the machine, and keeps it in the user's cache. A program has ROWS rows of core and gate, 64 features each.
"""

# ruff: noqa: ANN001, ANN202 - what Triton compiles is no Python, and has constants in capitals

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from uprung.models.chgnet.kernels import EPS, WIDTH, Plain, strided

ROWS = 32
_W = tl.constexpr(WIDTH)
_EPS = tl.constexpr(EPS)
_UNTOLD = ["n"]  # else every kernel is compiled again for another divisibility of n


@triton.jit
def _rows(n, B: tl.constexpr):
    """Return rows (B, 1), which of them are there, and columns (1, 64)."""
    rows = tl.program_id(0).to(tl.int64) * B + tl.arange(0, B)
    return rows[:, None], rows[:, None] < n, tl.arange(0, _W)[None, :]


@triton.jit
def _sigmoid(x):
    return 1 / (1 + tl.exp(-x))


@triton.jit
def _mean(x):
    return tl.sum(x, axis=1, keep_dims=True) / _W


@triton.jit
def _normal(g, z, root):
    """Return r P(g)."""
    return root * (g - _mean(g) - z * (_mean(z * g) * root * root))


@triton.jit(do_not_specialize=_UNTOLD)
def _hidden(n, a, s, d, sigma, B: tl.constexpr):
    rows, here, columns = _rows(n, B)
    for h in tl.static_range(2):
        x = tl.load(a + rows * (2 * _W) + h * _W + columns, mask=here, other=0)
        at = (h * n + rows) * _W + columns
        value = _sigmoid(x)
        silu = x * value
        tl.store(sigma + at, value, mask=here)
        tl.store(s + at, silu, mask=here)
        tl.store(d + at, value + silu - silu * value, mask=here)


@triton.jit
def _layer(x, half, h, n, row, scale, shift, z, r, B: tl.constexpr):
    """Return h and its sigmoid for core (0) or gate (1), and store centred z and r."""
    rows, here, columns = _rows(n, B)
    given = tl.load(x + rows * row + h * half + columns, mask=here, other=0)
    centred = given - _mean(given)
    root = 1 / tl.sqrt(_mean(centred * centred) + _EPS)
    tl.store(r + h * n + rows, root, mask=here)
    tl.store(z + (h * n + rows) * _W + columns, centred, mask=here)
    value = centred * root * tl.load(scale + h * _W + columns) + tl.load(shift + h * _W + columns)
    return value, _sigmoid(value)


@triton.jit(do_not_specialize=_UNTOLD)
def _output(n, x, row, half, scale, shift, z, r, kl, slope, y, B: tl.constexpr):
    rows, here, columns = _rows(n, B)
    core, open_core = _layer(x, half, 0, n, row, scale, shift, z, r, B)
    _, open_gate = _layer(x, half, 1, n, row, scale, shift, z, r, B)
    q = open_core * open_gate
    value, k, m = core * q, 1 - open_core, 1 - open_gate
    at, beside = rows * _W + columns, (n + rows) * _W + columns
    tl.store(y + at, value, mask=here)
    tl.store(kl + at, k, mask=here)
    tl.store(kl + beside, m, mask=here)
    tl.store(slope + at, q + k * value, mask=here)
    tl.store(slope + beside, m * value, mask=here)


@triton.jit(do_not_specialize=_UNTOLD)
def _slope(n, p, scale, z, r, slope, z_bar, B: tl.constexpr):
    rows, here, columns = _rows(n, B)
    along = tl.load(p + rows * _W + columns, mask=here, other=0)
    for h in tl.static_range(2):
        at = (h * n + rows) * _W + columns
        g = tl.load(scale + h * _W + columns) * tl.load(slope + at, mask=here, other=0) * along
        zs, root = tl.load(z + at, mask=here, other=0), tl.load(r + h * n + rows, mask=here, other=0)
        tl.store(z_bar + at, _normal(g, zs, root), mask=here)


@triton.jit(do_not_specialize=_UNTOLD)
def _columns(n, x, row, half, d, to_d, s, sigma, out, curved: tl.constexpr, B: tl.constexpr):
    rows, here, columns = _rows(n, B)
    for h in tl.static_range(2):
        at = (h * n + rows) * _W + columns
        known = tl.load(d + at, mask=here, other=0)
        value = tl.load(x + rows * row + h * half + columns, mask=here, other=0) * known
        if curved:
            opened = tl.load(sigma + at, mask=here, other=0)
            both = tl.load(s + at, mask=here, other=0) * opened
            value += tl.load(to_d + at, mask=here, other=0) * ((1 - opened) * (opened + known - both))
        tl.store(out + rows * (2 * _W) + h * _W + columns, value, mask=here)


@triton.jit(do_not_specialize=_UNTOLD)
def _along(n, v, s_bar, d, to_d, along, B: tl.constexpr):
    rows, here, columns = _rows(n, B)
    for h in tl.static_range(2):
        at = (h * n + rows) * _W + columns
        change = tl.load(v + rows * (2 * _W) + h * _W + columns, mask=here, other=0)
        tl.store(to_d + at, tl.load(s_bar + at, mask=here, other=0) * change, mask=here)
        tl.store(along + at, tl.load(d + at, mask=here, other=0) * change, mask=here)


@triton.jit(do_not_specialize=_UNTOLD)
def _curvature(
    n, w, row, half, p, scale, z, r, slope, z_bar, bar_row, bar_half, to_p, to_slope, to_z, sums, B: tl.constexpr
):
    rows, here, columns = _rows(n, B)
    along = tl.load(p + rows * _W + columns, mask=here, other=0)
    toward = along * 0
    for h in tl.static_range(2):
        at = (h * n + rows) * _W + columns
        change = tl.load(w + rows * row + h * half + columns, mask=here, other=0)
        bar = tl.load(z_bar + rows * bar_row + h * bar_half + columns, mask=here, other=0)
        zs, root = tl.load(z + at, mask=here, other=0), tl.load(r + h * n + rows, mask=here, other=0)
        first, scaled = tl.load(slope + at, mask=here, other=0), tl.load(scale + h * _W + columns)
        square, h_bar = root * root, first * along
        on_z = _mean(zs * change) * square
        x_dot = root * (change - _mean(change) - zs * on_z)
        weighted, h_dot = h_bar * scaled, x_dot * scaled
        by_dot, by_z = _mean(zs * weighted) * square, _mean(weighted * x_dot) * square
        tl.store(to_z + at, -(x_dot * by_dot + bar * on_z + zs * by_z), mask=here)
        tl.store(to_slope + at, h_dot * along, mask=here)
        toward += first * h_dot
        block = tl.program_id(0).to(tl.int64) * (2 * _W) + h * _W
        tl.store(sums + block + tl.arange(0, _W), tl.sum(h_bar * x_dot, axis=0))
    tl.store(to_p + rows * _W + columns, toward, mask=here)


@triton.jit
def _finished(to_h, h, n, to_z, scale, z, r, z_bar, sums, with_z: tl.constexpr, B: tl.constexpr):
    """Store the gradient of z for core (0) or gate (1), and the sums of a block of rows."""
    rows, here, columns = _rows(n, B)
    at = (h * n + rows) * _W + columns
    zs, root = tl.load(z + at, mask=here, other=0), tl.load(r + h * n + rows, mask=here, other=0)
    bar = _normal(tl.load(scale + h * _W + columns) * to_h, zs, root)
    if with_z:
        bar += tl.load(to_z + at, mask=here, other=0)
    tl.store(z_bar + at, bar, mask=here)
    block = sums + tl.program_id(0).to(tl.int64) * (6 * _W) + h * _W + tl.arange(0, _W)
    tl.store(block, tl.sum(root * zs * to_h, axis=0))
    tl.store(block + 2 * _W, tl.sum(to_h, axis=0))
    tl.store(block + 4 * _W, tl.sum(bar, axis=0))


@triton.jit(do_not_specialize=_UNTOLD)
def _normalised(
    n, u, t, to_z, scale, z, r, kl, slope, y, z_bar, sums,
    with_u: tl.constexpr, with_t: tl.constexpr, with_z: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    rows, here, columns = _rows(n, B)
    at, beside = rows * _W + columns, (n + rows) * _W + columns
    core, gate = tl.load(slope + at, mask=here, other=0), tl.load(slope + beside, mask=here, other=0)
    to_core, to_gate = core * 0, gate * 0
    if with_u:
        change = tl.load(u + at, mask=here, other=0)
        to_core += core * change
        to_gate += gate * change
    if with_t:
        t_core, t_gate = tl.load(t + at, mask=here, other=0), tl.load(t + beside, mask=here, other=0)
        k, m = tl.load(kl + at, mask=here, other=0), tl.load(kl + beside, mask=here, other=0)
        mixed = m * core
        to_core += mixed * t_gate + k * (2 * core - tl.load(y + at, mask=here, other=0)) * t_core
        to_gate += mixed * t_core + (2 * m - 1) * gate * t_gate
    _finished(to_core, 0, n, to_z, scale, z, r, z_bar, sums, with_z, B)
    _finished(to_gate, 1, n, to_z, scale, z, r, z_bar, sums, with_z, B)


def _blocks(n: int) -> int:
    return -(-n // ROWS)


def _launch(kernel: Any, n: int, *arguments: Any) -> None:
    if n:
        kernel[(_blocks(n),)](n, *arguments, B=ROWS)


class Fused(Plain):
    """The functions of `Kernels` that are worth a kernel here; the others are those of PyTorch."""

    def hidden(self, a: Tensor, *, once: bool = False) -> tuple[Tensor, Tensor, Tensor | None]:
        """See `Kernels`."""
        a, n = a.contiguous(), len(a)
        s, d, sigma = (a.new_empty(2, n, WIDTH) for _ in range(3))
        _launch(_hidden, n, a, s, d, sigma)
        return s, d, sigma

    def output(
        self, z: Tensor, scale: Tensor, shift: Tensor, *, once: bool = False
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor]:
        """See `Kernels`."""
        (given, *strides), n = strided(z), z.shape[1]
        z, kl, slope = (z.new_empty(2, n, WIDTH) for _ in range(3))
        r, y = z.new_empty(2, n, 1), z.new_empty(n, WIDTH)
        _launch(_output, n, given, *strides, scale.contiguous(), shift.contiguous(), z, r, kl, slope, y)
        return z, r, kl, slope, y

    def slope(self, p: Tensor, scale: Tensor, z: Tensor, r: Tensor, slope: Tensor) -> Tensor:
        """See `Kernels`."""
        z_bar = torch.empty_like(slope)
        _launch(_slope, z.shape[1], p.contiguous(), scale.contiguous(), z, r, slope, z_bar)
        return z_bar

    def columns(self, x: Tensor, d: Tensor) -> Tensor:
        """See `Kernels`."""
        return self._side_by_side(x, d, d, d, d, False)

    def columns_curved(self, x: Tensor, d: Tensor, to_d: Tensor, s: Tensor, sigma: Tensor) -> Tensor:
        """See `Kernels`."""
        return self._side_by_side(x, d, to_d.contiguous(), s, sigma, True)

    def _side_by_side(self, x: Tensor, *others: Any) -> Tensor:
        (x, *strides), n = strided(x), x.shape[1]
        *arrays, curved = others
        out = x.new_empty(n, 2 * WIDTH)
        _launch(_columns, n, x, *strides, *arrays, out, curved)
        return out

    def along(self, v: Tensor, s_bar: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """See `Kernels`."""
        v, to_d, along = v.contiguous(), torch.empty_like(d), torch.empty_like(d)
        _launch(_along, len(v), v, s_bar.contiguous(), d, to_d, along)
        return to_d, along

    def curvature(
        self, along: Tensor, p: Tensor, scale: Tensor, z: Tensor, r: Tensor, slope: Tensor, z_bar: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `Kernels`."""
        (along, *strides), (z_bar, *bar_strides), n = strided(along), strided(z_bar), z.shape[1]
        p = p.contiguous()
        to_p, to_slope, to_z = torch.empty_like(p), torch.empty_like(slope), torch.empty_like(slope)
        sums = z.new_empty(_blocks(n), 2, 1, WIDTH)
        _launch(
            _curvature, n, along, *strides, p, scale.contiguous(), z, r, slope, z_bar, *bar_strides,
            to_p, to_slope, to_z, sums,
        )  # fmt: skip
        return to_p, to_slope, to_z, sums.sum(0)

    def normalised(
        self,
        u: Tensor | None,
        to_slope: Tensor | None,
        to_z: Tensor | None,
        scale: Tensor,
        z: Tensor,
        r: Tensor,
        kl: Tensor,
        slope: Tensor,
        y: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `Kernels`."""
        given = [u, to_slope, to_z]
        arrays = [slope if x is None else x.contiguous() for x in given]  # a kernel takes no None; it is not read
        n, z_bar = z.shape[1], torch.empty_like(slope)
        sums = z.new_empty(_blocks(n), 3, 2, 1, WIDTH)
        known = [x is not None for x in given]
        _launch(_normalised, n, *arrays, scale.contiguous(), z, r, kl, slope, y, z_bar, sums, *known)
        to_scale, to_shift, to_bias = sums.sum(0).unbind(0)
        return z_bar, to_scale, to_shift, to_bias


def probed(device: torch.device) -> Fused:
    """Return the kernels after one of them was compiled and gave what PyTorch's operations give.

    Raises:
        ArithmeticError: it gave something else.
        Exception: whatever Triton raises where it cannot compile: no C compiler, no folder for its cache.
    """
    a = torch.linspace(-8, 8, 2 * ROWS * WIDTH + 2 * WIDTH, device=device).view(-1, 2 * WIDTH)
    found, expected = ([x for x in kernels.hidden(a) if x is not None] for kernels in (Fused(), Plain()))
    if not all(torch.allclose(x, y, rtol=1e-5, atol=1e-5) for x, y in zip(found, expected, strict=True)):
        raise ArithmeticError("Triton's sigmoid is not PyTorch's")
    return Fused()
