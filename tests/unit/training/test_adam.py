"""The optimiser against torch's, number by number."""

from __future__ import annotations

import copy

import torch
from torch import nn

from uprung.training.adam import Adam


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(3, 5), nn.SiLU(), nn.Linear(5, 1), nn.Linear(4, 4)
        )  # the last one has no gradient


def loss(module: nn.Module, step: int) -> torch.Tensor:
    x = torch.linspace(-1, 1, 12).view(4, 3) * (1 + step)
    hidden = module[1](module[0](x))
    return (module[2](hidden) if step % 3 else hidden[:, :1]).square().mean()  # now and then one layer has none


def test_the_numbers_are_those_of_torch_bit_for_bit() -> None:
    own, stock = network(), network()
    mine, theirs = Adam(own.parameters()), torch.optim.Adam(stock.parameters(), fused=True)
    for step in range(30):
        rate = 1e-2 / (1 + step)
        for module, optimiser in ((own, mine), (stock, theirs)):
            optimiser.zero_grad()
            loss(module, step).backward()
        mine.step(rate)
        theirs.param_groups[0]["lr"] = rate
        theirs.step()
        for a, b in zip(own.parameters(), stock.parameters(), strict=True):
            assert torch.equal(a, b), step


def test_a_saved_state_goes_on_with_the_same_numbers() -> None:
    first, second = network(), network()
    a = Adam(first.parameters())
    for step in range(10):
        if step == 5:
            second.load_state_dict(first.state_dict())
            b = Adam(second.parameters())
            b.load_state_dict(copy.deepcopy(a.state_dict()))
        for module, optimiser in ((first, a), *([(second, b)] if step >= 5 else [])):
            optimiser.zero_grad()
            loss(module, step).backward()
            optimiser.step(1e-2)
    for p, q in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(p, q)


def test_nothing_is_moved_without_a_gradient() -> None:
    module = network()
    before = copy.deepcopy(module.state_dict())
    Adam(module.parameters()).step(1.0)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
