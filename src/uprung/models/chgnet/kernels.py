"""What a gated MLP computes between its matrix products, as operations of PyTorch.

The formulas and the names of all arrays are those of `uprung.models.chgnet.gated_mlp`. Arrays of core and gate are
(2, n, 64). `uprung.models.chgnet.compiled` has the same functions in one pass over the arrays each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

WIDTH = 64
EPS = 1e-5  # of torch.nn.LayerNorm


class Kernels(Protocol):
    """Functions of a gated MLP; no argument is changed, whatever its strides are."""

    def hidden(self, a: Tensor, *, once: bool = False) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return s, d and σ of a (n, 128); σ may be left out where first derivatives are taken `once`."""
        ...

    def output(
        self, z: Tensor, scale: Tensor, shift: Tensor, *, once: bool = False
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor]:
        """Return centred z, r (2, n, 1), (k, l), A and y (n, 64) of z; (k, l) may be left out as σ above."""
        ...

    def slope(self, p: Tensor, scale: Tensor, z: Tensor, r: Tensor, slope: Tensor) -> Tensor:
        """Return z̄ for a direction p (n, 64) of y."""
        ...

    def columns(self, x: Tensor, d: Tensor) -> Tensor:
        """Return x * d with core and gate side by side, (n, 128)."""
        ...

    def columns_curved(self, x: Tensor, d: Tensor, to_d: Tensor, s: Tensor, sigma: Tensor) -> Tensor:
        """Return x * d + to_d * silu'' with core and gate side by side, (n, 128)."""
        ...

    def along(self, v: Tensor, s_bar: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """Return s̄ * v, which goes to d, and d * v for a change v (n, 128) of ā."""
        ...

    def curvature(
        self, along: Tensor, p: Tensor, scale: Tensor, z: Tensor, r: Tensor, slope: Tensor, z_bar: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what goes to p (n, 64), A, z and scale (2, 1, 64) for a change W (d v) of z."""
        ...

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
        """Return the gradient of z before it was centred, and those of scale, shift and bias (2, 1, 64)."""
        ...

    def gathered(self, common: Tensor | None, tables: Sequence[Tensor | None], indices: Sequence[Tensor]) -> Tensor:
        """Return common, once or twice on top of itself, plus the rows of tables by their indices (n,); (n, 128).

        Two or three tables; those that are missing are zero, but not all of them and common.
        """
        ...

    def scattered(
        self, g: Tensor, indices: Sequence[Tensor], sizes: Sequence[int], rows: int
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the transpose of that: what g (n, 128) gives to common (rows, 128) and to tables of some sizes."""
        ...

    def messages(self, y: Tensor, w: Tensor, by: Tensor | None, owner: Tensor, owners: int) -> Tensor:
        """Return y (n, 64) times rows of w, by an index (n,) or once or twice all, added up by owner; (owners, 64)."""
        ...

    def pulled(self, y: Tensor, w: Tensor, by: Tensor | None, owner: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """Return the derivatives of that by y and w along g (owners, 64)."""
        ...

    def pulled_curved(
        self, y: Tensor, w: Tensor, by: Tensor | None, owner: Tensor, g: Tensor, v: Tensor, u: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the derivatives of those, along v of that by y and along u of that by w, by y, w and g."""
        ...


def halves(a: Tensor) -> Tensor:
    """(n, 128) seen as (2, n, 64)."""
    return a.view(-1, 2, WIDTH).transpose(0, 1)


def side_by_side(x: Tensor) -> Tensor:
    """(2, n, 64) as (n, 128), core before gate."""
    return torch.cat([x[0], x[1]], dim=1)


def strided(x: Tensor) -> tuple[Tensor, int, int]:
    """Return (2, n, 64) with neighbouring features side by side, its stride from row to row and from core to gate."""
    x = x if x.stride(2) == 1 else x.contiguous()
    return x, x.stride(1), x.stride(0)


def _norm_backward(g: Tensor, z: Tensor, r: Tensor) -> Tensor:
    """r P(g), the gradient with respect to centred z of (z r) where g is that with respect to z r."""
    result: Tensor = torch.ops.aten.native_layer_norm_backward(
        g, z, (WIDTH,), torch.zeros_like(r), r, None, None, [True, False, False]
    )[0]
    return result


class Plain:
    """The functions as operations of PyTorch, on any device and of any type."""

    def hidden(self, a: Tensor, *, once: bool = False) -> tuple[Tensor, Tensor, Tensor | None]:
        """See `Kernels`."""
        z = halves(a).clone(memory_format=torch.contiguous_format)
        sigma = torch.sigmoid(z)
        s = z * sigma
        return s, torch.addcmul(sigma, s, sigma, value=-1, out=z).add_(s), sigma

    def output(
        self, z: Tensor, scale: Tensor, shift: Tensor, *, once: bool = False
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor]:
        """See `Kernels`."""
        z = torch.sub(z, z.mean(-1, keepdim=True)).contiguous()
        work = z * z
        r = work.mean(-1, keepdim=True).add_(EPS).rsqrt_()
        h = torch.addcmul(shift, torch.mul(z, r, out=work), scale, out=work)
        sigmas = torch.sigmoid(h)
        q = sigmas[0] * sigmas[1]
        y = h[0] * q
        kl = sigmas.neg_().add_(1)
        slope = torch.mul(kl, y, out=work)
        slope[0] += q
        return z, r, kl, slope, y

    def slope(self, p: Tensor, scale: Tensor, z: Tensor, r: Tensor, slope: Tensor) -> Tensor:
        """See `Kernels`."""
        return _norm_backward((slope * p).mul_(scale), z, r)

    def columns(self, x: Tensor, d: Tensor) -> Tensor:
        """See `Kernels`."""
        result = x.new_empty(x.shape[1], 2 * WIDTH)
        for i, columns in enumerate(torch.split(result, WIDTH, dim=1)):
            torch.mul(x[i], d[i], out=columns)
        return result

    def columns_curved(self, x: Tensor, d: Tensor, to_d: Tensor, s: Tensor, sigma: Tensor) -> Tensor:
        """See `Kernels`."""
        work = torch.addcmul(d, s, sigma, value=-1).add_(sigma)
        work.addcmul_(work, sigma, value=-1)
        x, result = x * d, x.new_empty(x.shape[1], 2 * WIDTH)
        for i, columns in enumerate(torch.split(result, WIDTH, dim=1)):
            torch.addcmul(x[i], work[i], to_d[i], out=columns)
        return result

    def along(self, v: Tensor, s_bar: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """See `Kernels`."""
        along = halves(v).clone(memory_format=torch.contiguous_format)
        return s_bar * along, along.mul_(d)

    def curvature(
        self, along: Tensor, p: Tensor, scale: Tensor, z: Tensor, r: Tensor, slope: Tensor, z_bar: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `Kernels`."""
        along = along.contiguous()
        h_bar = slope * p
        # x moves by x_dot along v. The derivative of z_bar by z, x_dot as g, has one term for each factor of r P.
        x_dot = _norm_backward(along, z, r)
        mean, minus = scale.transpose(1, 2) / WIDTH, -r * r
        work = z * along
        by_bar = work.mean(-1, keepdim=True).mul_(minus)
        by_dot = torch.bmm(torch.mul(z, h_bar, out=work), mean).mul_(minus)
        by_z = torch.bmm(torch.mul(h_bar, x_dot, out=work), mean).mul_(minus)
        to_scale = work.sum(1, keepdim=True)
        to_z = torch.mul(x_dot, by_dot, out=h_bar).addcmul_(z_bar, by_bar).addcmul_(z, by_z)
        h_dot = x_dot.mul_(scale)
        to_p = (slope[0] * h_dot[0]).addcmul_(slope[1], h_dot[1])
        return to_p, h_dot.mul_(p), to_z, to_scale

    def gathered(self, common: Tensor | None, tables: Sequence[Tensor | None], indices: Sequence[Tensor]) -> Tensor:
        """See `Kernels`."""
        known = next(table for table in (common, *tables) if table is not None)
        total = known.new_zeros(len(indices[0]), 2 * WIDTH)
        for table, index in zip(tables, indices, strict=True):
            if table is not None:
                total += torch.index_select(table, 0, index)
        if common is not None and len(common):
            total.view(-1, *common.shape).add_(common)
        return total

    def scattered(
        self, g: Tensor, indices: Sequence[Tensor], sizes: Sequence[int], rows: int
    ) -> tuple[Tensor, list[Tensor]]:
        """See `Kernels`."""
        tables = [
            g.new_zeros(size, g.shape[1]).index_add_(0, index, g) for size, index in zip(sizes, indices, strict=True)
        ]
        return (g if rows == len(g) else g.view(2, rows, -1).sum(0)), tables

    def messages(self, y: Tensor, w: Tensor, by: Tensor | None, owner: Tensor, owners: int) -> Tensor:
        """See `Kernels`."""
        return y.new_zeros(owners, WIDTH).index_add_(0, owner, y * _rows_of(w, by, len(y)))

    def pulled(self, y: Tensor, w: Tensor, by: Tensor | None, owner: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """See `Kernels`."""
        along = torch.index_select(g, 0, owner)
        return along * _rows_of(w, by, len(y)), _added(along * y, by, len(w))

    def pulled_curved(
        self, y: Tensor, w: Tensor, by: Tensor | None, owner: Tensor, g: Tensor, v: Tensor, u: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `Kernels`."""
        along, of_u = torch.index_select(g, 0, owner), _rows_of(u, by, len(y))
        to_g = torch.addcmul(v * _rows_of(w, by, len(y)), y, of_u)
        return along * of_u, _added(along * v, by, len(w)), torch.zeros_like(g).index_add_(0, owner, to_g)

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
        to_h = torch.zeros_like(slope) if u is None else slope * u
        if to_slope is not None:
            _add_curvature(to_h, to_slope, kl, slope, y)
        to_scale, to_shift = torch.bmm(r.transpose(1, 2), to_h * z), to_h.sum(1, keepdim=True)
        z_bar = _norm_backward(to_h.mul_(scale), z, r)
        if to_z is not None:
            z_bar += to_z
        return z_bar, to_scale, to_shift, z_bar.sum(1, keepdim=True)


def _rows_of(w: Tensor, by: Tensor | None, n: int) -> Tensor:
    """Rows of w by index, or all of them as often as n has room for."""
    if by is not None:
        return torch.index_select(w, 0, by)
    return w if len(w) == n else torch.cat([w, w])


def _added(rows: Tensor, by: Tensor | None, size: int) -> Tensor:
    """The transpose: rows added up by index, or their halves."""
    if by is not None:
        return rows.new_zeros(size, rows.shape[1]).index_add_(0, by, rows)
    return rows if len(rows) == size else rows[:size] + rows[size:]


def _add_curvature(to_h: Tensor, t: Tensor, kl: Tensor, slope: Tensor, y: Tensor) -> None:
    """Add (∂²y/∂h²) t to ``to_h``."""
    work = kl[1] * slope[0]
    to_h[0].addcmul_(work, t[1])
    to_h[1].addcmul_(work, t[0])
    torch.sub(slope[0], y, alpha=0.5, out=work).mul_(kl[0])
    to_h[0].addcmul_(work, t[0], value=2)
    torch.mul(slope[1], kl[1], out=work).sub_(slope[1], alpha=0.5)
    to_h[1].addcmul_(work, t[1], value=2)
