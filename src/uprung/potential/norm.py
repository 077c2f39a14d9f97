"""Layer normalisation that is cheap to differentiate twice.

Autograd composes the second derivative of layer norm from some thirty operations over the whole array, which made it
the largest part of a training step on forces. Written out it takes a dozen.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

_EPS = 1e-5  # of torch.nn.LayerNorm
_SMALL = 2**17  # below this, on the CPU, two Python calls cost more than the thirty operations


def normalise(values: Tensor) -> Tensor:
    """(values - mean) / sqrt(variance + 1e-5) over the last axis, twice differentiable; same shape."""
    if not values.is_cuda and values.numel() < _SMALL:
        return F.layer_norm(values, values.shape[-1:], eps=_EPS)
    result: Tensor = _Normalise.apply(values)  # type: ignore[no-untyped-call]
    return result


def _backward(g: Tensor, values: Tensor, mean: Tensor, r: Tensor) -> Tensor:
    result: Tensor = torch.ops.aten.native_layer_norm_backward(
        g, values, values.shape[-1:], mean, r, None, None, [True, False, False]
    )[0]
    return result


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        x, mean, r = torch.native_layer_norm(values, values.shape[-1:], None, None, _EPS)
        ctx.save_for_backward(values, x, mean, r)
        return x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        values, x, mean, r = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return _backward(g, values, mean, r)
        result: Tensor = _Derivative.apply(g, values, x.detach(), mean, r)  # type: ignore[no-untyped-call]
        return result


class _Derivative(torch.autograd.Function):
    """r P(g) with P(g) = g - mean(g) - x mean(x g), x the normalised values and r = 1 / sqrt(variance + eps)."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, values: Tensor, x: Tensor, mean: Tensor, r: Tensor) -> Tensor:
        out = _backward(g, values, mean, r)
        ctx.save_for_backward(g, values, x, mean, r, out)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, u: Tensor) -> tuple[Tensor | None, ...]:
        # r P is symmetric in g and u. Along u, x moves by r P(u) and r by -r^2 mean(x u), which gives the rest.
        g, values, x, mean, r, out = ctx.saved_tensors
        to_g = _backward(u, values, mean, r)
        to_values = out * (x * u).mean(-1, keepdim=True)
        to_values.addcmul_(to_g, (x * g).mean(-1, keepdim=True))
        to_values.addcmul_(x, (to_g * g).mean(-1, keepdim=True))
        return to_g, to_values.mul_(-r), None, None, None
