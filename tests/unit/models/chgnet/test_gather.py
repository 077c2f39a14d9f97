"""Sums of gathered rows: the plain operations, and derivatives of any order."""

from __future__ import annotations

import pytest
import torch

from uprung.models.chgnet.gather import _composed, _messages_composed, gathered, messages

DRAW = torch.Generator().manual_seed(0)


def normal(n: int) -> torch.Tensor:
    return torch.randn(n, 128, dtype=torch.float64, generator=DRAW).requires_grad_()


INDICES = [torch.tensor([0, 1, 1, 2, 0, 2]), torch.tensor([1, 0, 1, 1, 0, 0]), torch.tensor([3, 2, 1, 0, 0, 3])]


@pytest.mark.parametrize("tables", [2, 3])
@pytest.mark.parametrize("rows", [6, 3], ids=["once", "twice"])
def test_sums_and_first_derivatives_are_those_of_plain_operations(tables: int, rows: int) -> None:
    given = [normal(rows), *(normal(size) for size in (3, 2, 4)[:tables])]
    found = gathered(given[0], given[1:], INDICES[:tables])
    wanted = _composed(given[0], given[1:], INDICES[:tables])
    torch.testing.assert_close(found, wanted, rtol=1e-14, atol=1e-14)
    weight = normal(6).detach()
    for mine, other in zip(
        torch.autograd.grad((found * weight).sum(), given),
        torch.autograd.grad((wanted * weight).sum(), given),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("rows", [6, 3], ids=["once", "twice"])
@pytest.mark.parametrize("asked", [[0, 1, 2], [0], [2]], ids=str)
def test_second_derivatives_are_those_of_plain_operations(rows: int, asked: list[int]) -> None:
    """As training on forces takes them: of a function of some first derivatives, with respect to everything."""
    given = [normal(rows), normal(3), normal(2)]
    found = []
    for function in (gathered, _composed):
        energy = torch.tanh(function(given[0], given[1:], INDICES[:2])).square().sum()
        first = torch.autograd.grad(energy, [given[k] for k in asked], create_graph=True)
        loss = energy + sum(part.pow(3).sum() for part in first)
        found.append(torch.autograd.grad(loss, given))
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


def test_a_table_without_derivatives_is_left_alone() -> None:
    common, table, fixed = normal(6), normal(3), normal(2).detach()
    gradients = torch.autograd.grad(gathered(common, [table, fixed], INDICES[:2]).sum(), [common, table])
    assert [len(each) for each in gradients] == [6, 3]


@pytest.mark.parametrize("by", [None, "twice", "index"])
@pytest.mark.parametrize("asked", [[0, 1], [0], [1]], ids=str)
def test_messages_and_their_derivatives_are_those_of_plain_operations(by: str | None, asked: list[int]) -> None:
    rows, owner = {None: 6, "twice": 3, "index": 2}[by], INDICES[0]
    index = INDICES[1] if by == "index" else None
    given = [normal(6)[:, :64].detach().requires_grad_(), normal(rows)[:, :64].detach().requires_grad_()]
    found = []
    for function in (messages, _messages_composed):
        sums = function(*given, index, owner, 4)
        energy = torch.tanh(sums).square().sum()
        first = torch.autograd.grad(energy, [given[k] for k in asked], create_graph=True)
        loss = energy + sum(part.pow(3).sum() for part in first)
        found.append([sums, *first, *torch.autograd.grad(loss, given)])
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)
