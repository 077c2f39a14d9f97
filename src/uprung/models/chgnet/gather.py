"""What gated MLPs read, put together from rows of atoms, bonds and angles, and what they give back, added up.

A first linear layer is applied to atoms, bonds and angles before they are gathered (`packed.py` beside this file). What
it gives an edge or an angle is a sum of rows, S(c, t) = c + t₁[i₁] + t₂[i₂] ..., linear in c and all t. Its derivative
is the transpose, which adds a row to all that it came from, and the derivative of the transpose is S again. So two
functions that are each other's derivative can be differentiated as often as one likes, and each is one pass over
(n, 128) numbers instead of one for every operation.

What a gated MLP gives, y, is multiplied by weights w and added up by owner: M = Σ y · w. Along g, a change of M, its
derivatives are ȳ = w · g and w̄ = Σ y · g, and theirs along v and u, changes of ȳ and w̄, are u · g by y, Σ v · g by w
and Σ (v · w + y · u) by g; each line is one pass, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from uprung.models.chgnet.compiled import kernels_of


def gathered(common: Tensor, tables: Sequence[Tensor], indices: Sequence[Tensor]) -> Tensor:
    """Sums of rows (n, 128): of ``common`` (n, 128), or (n / 2, 128) twice, and of tables (m, 128) by index (n,)."""
    if common.is_cuda:  # operations that were measured there
        return _composed(common, tables, indices)
    result: Tensor = _Gather.apply(tuple(indices), common, *tables)  # type: ignore[no-untyped-call]
    return result


def _composed(common: Tensor, tables: Sequence[Tensor], indices: Sequence[Tensor]) -> Tensor:
    first, *others = (torch.index_select(table, 0, index) for table, index in zip(tables, indices, strict=True))
    for rows in others:
        first += rows
    return (first.view(-1, *common.shape) + common).view(first.shape)


class _Gather(torch.autograd.Function):
    """c, t₁, t₂, ... -> S; the indices come first."""

    @staticmethod
    def forward(ctx: Any, indices: tuple[Tensor, ...], common: Tensor | None, *tables: Tensor | None) -> Tensor:
        ctx.save_for_backward(*indices)
        ctx.sizes = [None if table is None else len(table) for table in tables]
        ctx.rows = None if common is None else len(common)
        known = next(table for table in (common, *tables) if table is not None)
        return kernels_of(known).gathered(common, tables, indices)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        sizes = ctx.sizes
        common, *tables = _Scatter.apply(ctx.saved_tensors, [size or 1 for size in sizes], ctx.rows or len(g), g)  # type: ignore[no-untyped-call]
        kept = (None if size is None else table for size, table in zip(sizes, tables, strict=True))
        return None, None if ctx.rows is None else common, *kept


class _Scatter(torch.autograd.Function):
    """g -> what it gives to c, t₁, t₂, ...; the indices, the sizes of the tables and the rows of c come first."""

    @staticmethod
    def forward(
        ctx: Any, indices: tuple[Tensor, ...], sizes: Sequence[int], rows: int, g: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*indices)
        ctx.set_materialize_grads(False)
        common, tables = kernels_of(g).scattered(g, indices, sizes, rows)
        return common if common is not g else g.view_as(g), *tables

    @staticmethod
    def backward(ctx: Any, to_common: Tensor | None, *to_tables: Tensor | None) -> tuple[Tensor | None, ...]:
        if to_common is None and all(table is None for table in to_tables):
            return None, None, None, None
        return None, None, None, _Gather.apply(ctx.saved_tensors, to_common, *to_tables)  # type: ignore[no-untyped-call]


def messages(y: Tensor, w: Tensor, by: Tensor | None, owner: Tensor, owners: int) -> Tensor:
    """Sums by owner (owners, 64) of y (n, 64) times rows of ``w``: those of ``by`` (n,), or once or twice all of them.

    It can be differentiated twice, as training on forces does.
    """
    if y.is_cuda:  # operations that were measured there
        return _messages_composed(y, w, by, owner, owners)
    result: Tensor = _Messages.apply(y, w, by, owner, owners)  # type: ignore[no-untyped-call]
    return result


def _messages_composed(y: Tensor, w: Tensor, by: Tensor | None, owner: Tensor, owners: int) -> Tensor:
    weighted = y.view(-1, *w.shape) * w if by is None else y * torch.index_select(w, 0, by)
    return y.new_zeros(owners, y.shape[1]).index_add(0, owner, weighted.view(y.shape))


class _Messages(torch.autograd.Function):
    """y, w -> M."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, w: Tensor, by: Tensor | None, owner: Tensor, owners: int) -> Tensor:
        ctx.save_for_backward(y, w, by, owner)
        return kernels_of(y).messages(y, w, by, owner, owners)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        y, w, by, owner = ctx.saved_tensors
        return *_Pulled.apply(y, w, by, owner, g), None, None, None  # type: ignore[no-untyped-call]


class _Pulled(torch.autograd.Function):
    """y, w, g -> ȳ, w̄."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, w: Tensor, by: Tensor | None, owner: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(y, w, by, owner, g)
        return kernels_of(y).pulled(y, w, by, owner, g)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, v: Tensor, u: Tensor) -> tuple[Tensor | None, ...]:
        y, w, by, owner, g = ctx.saved_tensors
        to_y, to_w, to_g = kernels_of(y).pulled_curved(y, w, by, owner, g, v, u)
        return to_y, to_w, None, None, to_g
