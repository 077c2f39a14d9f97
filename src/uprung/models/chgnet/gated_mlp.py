"""A gated MLP after its first linear layer, cheap to differentiate twice.

Training on forces differentiates the network twice, and most of such a step goes into elementwise operations over the
rows of edges and angles. Autograd composes their second derivatives from many more operations, each with an array of
its own, than the formulas need when written out. Here they are, for a row of core and gate, 64 features each:

    s = silu(a)                         where there is a hidden layer, else z = a
    z = W s + b
    h = scale * x + shift               x = (z - mean z) r,  r = 1 / sqrt(variance z + eps)
    y = silu(h_core) sigmoid(h_gate)

With σ the sigmoid of the two h, q = σ_core σ_gate, y = h_core q, k = 1 - σ_core and l = 1 - σ_gate,

    ∂y/∂h = A = (q + k y, l y),
    ∂²y/∂h² = ((k (2 A_core - y), l A_core), (l A_core, (2 l - 1) A_gate)),
    silu'  = d = σ + s - s σ,   silu'' = (1 - σ)(σ + d - s σ)    with σ = sigmoid(a).

The first derivative along p, the gradient with respect to y, is

    ā = d * Wᵀ z̄,   z̄ = r P(scale * A p),   P(g) = g - mean(g) - x mean(x g).

`_Gate` has A, z and d as further outputs, and `_Slope` takes them as inputs. Autograd's second pass therefore visits
`_Slope` first, which differentiates ā with A, z and d taken as independent; `_Gate` then sends all that reached A, z, d
and y through the layers in one go. Along v, a change of ā, with ẋ = r P(W (d v)) and means over the 64 features,

    to p:      A · (scale * ẋ)                  to W:      z̄ (d * v)ᵀ
    to A:      p scale * ẋ                      to d:      v * Wᵀ z̄
    to scale:  sum over rows of ẋ * A p         to z:      -r (z̄ mean(x W (d v)) + ẋ mean(x scale A p)
                                                               + x mean(ẋ scale A p)).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from uprung.models.chgnet.compiled import kernels_of
from uprung.models.chgnet.kernels import EPS, WIDTH, halves, side_by_side

_SMALL = 2**14  # numbers in a, below which, on the CPU, what Python spends on the calls outweighs the gain


def gate(
    a: Tensor, weight: Tensor | None, bias: Tensor | None, scale: Tensor, shift: Tensor, *, once: bool = False
) -> Tensor:
    """Gated output y (n, 64) of the first layer's output ``a`` (n, 128), core features before gate features.

    ``weight`` (2, 64, 64) and ``bias`` (2, 1, 64) are the second linear layer, both None where there is none; ``scale``
    and ``shift`` (2, 1, 64) are the affine part of layer norm. The derivative with respect to ``a`` can be
    differentiated once more, with respect to everything. Derivatives with respect to the parameters cannot: taken with
    ``create_graph=True`` they are nan. Where nothing but one derivative with respect to ``a`` is wanted, as in
    predictions, ``once`` spares what the others need: to take another one is a RuntimeError, but of a few rows.
    """
    if not a.is_cuda and a.numel() < _SMALL:
        return _composed(a, weight, bias, scale, shift)
    result: Tensor = _Gate.apply(a, weight, bias, scale, shift, once)[0]  # type: ignore[no-untyped-call]
    return result


def _composed(a: Tensor, weight: Tensor | None, bias: Tensor | None, scale: Tensor, shift: Tensor) -> Tensor:
    """The same function, left to autograd."""
    z = halves(a)
    if weight is not None and bias is not None:
        z = torch.baddbmm(bias, F.silu(z), weight.transpose(1, 2))
    core, gate = torch.addcmul(shift, F.layer_norm(z, (WIDTH,), eps=EPS), scale).unbind(0)
    return F.silu(core) * torch.sigmoid(gate)


def _summed_products(left: Tensor, right: Tensor) -> Tensor:
    """Sum over rows of left ⊗ right, (2, 64, 64) of two (2, n, 64).

    A batched product leaves so many rows with so small a result to a few of a GPU's processors, where half of the time
    of a step was spent; for single ones cuBLAS shares the rows between all of them.
    """
    if left.is_cuda:
        return torch.stack([x.t() @ y for x, y in zip(left, right, strict=True)])
    return torch.bmm(left.transpose(1, 2), right)


class _Gate(torch.autograd.Function):
    """a, W, b, scale, shift -> y (n, 64), A and centred z (2, n, 64), d (2, n, 64) or None."""

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, weight: Tensor | None, bias: Tensor | None, scale: Tensor, shift: Tensor, once: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        kernels = kernels_of(a)
        z, s, d, sigma = halves(a), None, None, None
        if weight is not None and bias is not None:
            s, d, sigma = kernels.hidden(a, once=once)
            z = torch.baddbmm(bias, s, weight.transpose(1, 2))
        z, r, kl, slope, y = kernels.output(z, scale, shift, once=once)
        ctx.once = once
        s, y_kept = (None, None) if once else (s, y)
        ctx.save_for_backward(weight, scale, sigma, s, d, z, r, kl, slope, y_kept)
        ctx.set_materialize_grads(False)
        return y, slope, z, d

    @staticmethod
    def backward(
        ctx: Any, u: Tensor | None, to_slope: Tensor | None, to_z: Tensor | None, to_d: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        weight, scale, sigma, s, d, z, r, kl, slope, y = ctx.saved_tensors
        once, parameters = ctx.once, any(ctx.needs_input_grad[1:5])
        if once and (parameters or torch.is_grad_enabled()):
            raise RuntimeError("a gated MLP was to be differentiated once, with respect to its input")
        if torch.is_grad_enabled():
            if u is None or to_slope is not None:
                raise RuntimeError("a gated MLP can be differentiated twice, not three times")
            a_bar: Tensor = _Slope.apply(u, weight, scale, d, z, r, slope)  # type: ignore[no-untyped-call]
            nan = scale.new_full((), torch.nan)
            second = (None, None) if weight is None else (nan.expand_as(weight), nan.expand_as(scale))
            return a_bar, *second, nan.expand_as(scale), nan.expand_as(scale), None
        kernels = kernels_of(z)
        to_scale = to_shift = to_bias = None
        if u is not None and to_slope is None and to_z is None and not parameters:
            z_bar = kernels.slope(u, scale, z, r, slope)  # the same without the sums
        else:
            z_bar, to_scale, to_shift, to_bias = kernels.normalised(u, to_slope, to_z, scale, z, r, kl, slope, y)
        if weight is None:
            return side_by_side(z_bar), None, None, to_scale, to_shift, None
        to_weight = _summed_products(z_bar, s) if parameters else None
        s_bar = torch.bmm(z_bar, weight)
        a_bar = kernels.columns(s_bar, d) if to_d is None else kernels.columns_curved(s_bar, d, to_d, s, sigma)
        return a_bar, to_weight, to_bias, to_scale, to_shift, None


class _Slope(torch.autograd.Function):
    """p, W, scale, d, z, r, A -> ā, whose derivative with respect to z includes that of r."""

    @staticmethod
    def forward(
        ctx: Any, p: Tensor, weight: Tensor | None, scale: Tensor, d: Tensor | None, z: Tensor, r: Tensor, slope: Tensor
    ) -> Tensor:
        kernels = kernels_of(z)
        z_bar = kernels.slope(p, scale, z, r, slope)
        s_bar = None if weight is None else torch.bmm(z_bar, weight)
        ctx.save_for_backward(p, weight, scale, d, z, r, slope, z_bar, s_bar)
        return side_by_side(z_bar) if s_bar is None or d is None else kernels.columns(s_bar, d)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
        p, weight, scale, d, z, r, slope, z_bar, s_bar = ctx.saved_tensors
        kernels, along, to_weight, to_d = kernels_of(z), halves(v), None, None
        if weight is not None:
            to_d, along = kernels.along(v, s_bar, d)
            to_weight = _summed_products(z_bar, along)
            along = torch.bmm(along, weight.transpose(1, 2))
        to_p, to_slope, to_z, to_scale = kernels.curvature(along, p, scale, z, r, slope, z_bar)
        return to_p, to_weight, to_scale, to_d, to_z, None, to_slope
