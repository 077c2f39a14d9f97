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

_EPS = 1e-5  # of torch.nn.LayerNorm
_SMALL = 2**14  # numbers in a, below which, on the CPU, what Python spends on the calls outweighs the gain
_WIDTH = 64


def gate(a: Tensor, weight: Tensor | None, bias: Tensor | None, scale: Tensor, shift: Tensor) -> Tensor:
    """Gated output y (n, 64) of the first layer's output ``a`` (n, 128), core features before gate features.

    ``weight`` (2, 64, 64) and ``bias`` (2, 1, 64) are the second linear layer, both None where there is none; ``scale``
    and ``shift`` (2, 1, 64) are the affine part of layer norm. The derivative with respect to ``a`` can be
    differentiated once more, with respect to everything. Derivatives with respect to the parameters cannot: taken with
    ``create_graph=True`` they are nan.
    """
    if not a.is_cuda and a.numel() < _SMALL:
        return _composed(a, weight, bias, scale, shift)
    result: Tensor = _Gate.apply(a, weight, bias, scale, shift)[0]  # type: ignore[no-untyped-call]
    return result


def _composed(a: Tensor, weight: Tensor | None, bias: Tensor | None, scale: Tensor, shift: Tensor) -> Tensor:
    """The same function, left to autograd."""
    z = _halves(a)
    if weight is not None and bias is not None:
        z = torch.baddbmm(bias, F.silu(z), weight.transpose(1, 2))
    core, gate = torch.addcmul(shift, F.layer_norm(z, (_WIDTH,), eps=_EPS), scale).unbind(0)
    return F.silu(core) * torch.sigmoid(gate)


def _halves(a: Tensor) -> Tensor:
    """(n, 128) seen as (2, n, 64)."""
    return a.view(-1, 2, _WIDTH).transpose(0, 1)


def _norm_backward(g: Tensor, z: Tensor, r: Tensor) -> Tensor:
    """r P(g), the gradient with respect to centred z of (z r) where g is that with respect to z r."""
    result: Tensor = torch.ops.aten.native_layer_norm_backward(
        g, z, (_WIDTH,), torch.zeros_like(r), r, None, None, [True, False, False]
    )[0]
    return result


class _Gate(torch.autograd.Function):
    """a, W, b, scale, shift -> y (n, 64), A and centred z (2, n, 64), d (2, n, 64) or None."""

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, weight: Tensor | None, bias: Tensor | None, scale: Tensor, shift: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        z = _halves(a).clone(memory_format=torch.contiguous_format)
        sigma = s = d = None
        if weight is not None and bias is not None:
            sigma = torch.sigmoid(z)
            s = z * sigma
            d = torch.addcmul(sigma, s, sigma, value=-1, out=z).add_(s)
            z = torch.baddbmm(bias, s, weight.transpose(1, 2))
        z -= z.mean(-1, keepdim=True)
        work = z * z
        r = work.mean(-1, keepdim=True).add_(_EPS).rsqrt_()
        h = torch.addcmul(shift, torch.mul(z, r, out=work), scale, out=work)
        sigmas = torch.sigmoid(h)
        q = sigmas[0] * sigmas[1]
        y = h[0] * q
        kl = sigmas.neg_().add_(1)
        slope = torch.mul(kl, y, out=work)
        slope[0] += q
        ctx.save_for_backward(weight, scale, sigma, s, d, z, r, kl, slope, y)
        ctx.set_materialize_grads(False)
        return y, slope, z, d

    @staticmethod
    def backward(
        ctx: Any, u: Tensor | None, to_slope: Tensor | None, to_z: Tensor | None, to_d: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        weight, scale, sigma, s, d, z, r, kl, slope, y = ctx.saved_tensors
        if torch.is_grad_enabled():
            if u is None or to_slope is not None:
                raise RuntimeError("a gated MLP can be differentiated twice, not three times")
            a_bar: Tensor = _Slope.apply(u, weight, scale, d, z, r, slope)  # type: ignore[no-untyped-call]
            nan = scale.new_full((), torch.nan)
            second = (None, None) if weight is None else (nan.expand_as(weight), nan.expand_as(scale))
            return a_bar, *second, nan.expand_as(scale), nan.expand_as(scale)
        parameters = any(ctx.needs_input_grad[1:])
        to_h = torch.zeros_like(slope) if u is None else slope * u
        if to_slope is not None:
            _add_curvature(to_h, to_slope, kl, slope, y)
        bars: list[Tensor | None] = [None, None, None, None]
        if parameters:
            bars[2:] = torch.bmm(r.transpose(1, 2), to_h * z), to_h.sum(1, keepdim=True)
        z_bar = _norm_backward(to_h.mul_(scale), z, r)
        if to_z is not None:
            z_bar += to_z
        if weight is None:
            return _columns(z_bar), *bars
        if parameters:
            bars[:2] = torch.bmm(z_bar.transpose(1, 2), s), z_bar.sum(1, keepdim=True)
        s_bar = torch.bmm(z_bar, weight)
        if to_d is None:
            return _columns(s_bar, d), *bars
        work = torch.addcmul(d, s, sigma, value=-1, out=to_h).add_(sigma)
        work.addcmul_(work, sigma, value=-1)
        return _columns(work, to_d, plus=s_bar.mul_(d)), *bars


def _columns(first: Tensor, second: Tensor | None = None, plus: Tensor | None = None) -> Tensor:
    """first [* second [+ plus]] of (2, n, 64), core and gate side by side: (n, 128)."""
    if second is None:
        return torch.cat([first[0], first[1]], dim=1)
    result = first.new_empty(first.shape[1], 2 * _WIDTH)
    for i, columns in enumerate(torch.split(result, _WIDTH, dim=1)):
        if plus is None:
            torch.mul(first[i], second[i], out=columns)
        else:
            torch.addcmul(plus[i], first[i], second[i], out=columns)
    return result


def _add_curvature(to_h: Tensor, t: Tensor, kl: Tensor, slope: Tensor, y: Tensor) -> None:
    """Add (∂²y/∂h²) t to ``to_h``."""
    work = kl[1] * slope[0]
    to_h[0].addcmul_(work, t[1])
    to_h[1].addcmul_(work, t[0])
    torch.sub(slope[0], y, alpha=0.5, out=work).mul_(kl[0])
    to_h[0].addcmul_(work, t[0], value=2)
    torch.mul(slope[1], kl[1], out=work).sub_(slope[1], alpha=0.5)
    to_h[1].addcmul_(work, t[1], value=2)


class _Slope(torch.autograd.Function):
    """p, W, scale, d, z, r, A -> ā, whose derivative with respect to z includes that of r."""

    @staticmethod
    def forward(
        ctx: Any, p: Tensor, weight: Tensor | None, scale: Tensor, d: Tensor | None, z: Tensor, r: Tensor, slope: Tensor
    ) -> Tensor:
        z_bar = _norm_backward((slope * p).mul_(scale), z, r)
        s_bar = None if weight is None else torch.bmm(z_bar, weight)
        ctx.save_for_backward(p, weight, scale, d, z, r, slope, z_bar, s_bar)
        return _columns(z_bar if s_bar is None else s_bar, d)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
        p, weight, scale, d, z, r, slope, z_bar, s_bar = ctx.saved_tensors
        along = _halves(v).clone(memory_format=torch.contiguous_format)
        h_bar = slope * p
        to_weight = to_d = None
        if weight is not None:
            to_d = s_bar * along
            to_weight = torch.bmm(z_bar.transpose(1, 2), along.mul_(d))
            along = torch.bmm(along, weight.transpose(1, 2))
        # x moves by x_dot along v. The derivative of z_bar by z, x_dot as g, has one term for each factor of r P.
        x_dot = _norm_backward(along, z, r)
        mean, minus = scale.transpose(1, 2) / _WIDTH, -r * r
        by_bar = torch.mul(z, along, out=along).mean(-1, keepdim=True).mul_(minus)
        by_dot = torch.bmm(torch.mul(z, h_bar, out=along), mean).mul_(minus)
        by_z = torch.bmm(torch.mul(h_bar, x_dot, out=along), mean).mul_(minus)
        to_scale = along.sum(1, keepdim=True)
        to_z = torch.mul(x_dot, by_dot, out=h_bar).addcmul_(z_bar, by_bar).addcmul_(z, by_z)
        h_dot = x_dot.mul_(scale)
        to_p = (slope[0] * h_dot[0]).addcmul_(slope[1], h_dot[1])
        return to_p, to_weight, to_scale, to_d, to_z, None, h_dot.mul_(p)
