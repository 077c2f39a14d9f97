"""Every registered architecture holds the contract of `contract.py`, as a checkpoint and with random weights."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from contract import CHECKS, Check

import uprung.models
from uprung.models.interface import Potential
from uprung.models.registry import CARDS, architecture, card_of, checkpoint_card, load

NETWORKS = [(card.name, start) for card in CARDS.values() for start in (*list(card.checkpoints)[:1], "random")]
#: Adds `toy/` beside this file to the package, as the diff in docs/extending.md does.
uprung.models.__path__.append(str(Path(__file__).parent))


@pytest.fixture
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the toy beside the real architectures."""
    from uprung.models.toy.card import CARD

    monkeypatch.setitem(CARDS, CARD.name, CARD)


@pytest.fixture(autouse=True)
def _one_thread() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fresh(name: str, start: str) -> Potential:
    potential = architecture(name).new(0) if start == "random" else load(start)
    return potential.double().eval()


built = functools.cache(fresh)


def network(name: str, start: str, check: Check) -> Potential:
    """Return a network for one check: a copy, since e3nn takes seconds to build a SevenNet.

    A copy's code is compiled anew and may round otherwise, so files are held against networks as they are built.
    """
    if check.__name__.startswith("saved"):
        return fresh(name, start)
    return copy.deepcopy(built(name, start))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.usefixtures("_toy")
@pytest.mark.parametrize(("name", "start"), [*NETWORKS, ("toy", "random")])
def test_contract(name: str, start: str, check: Check, tmp_path: Path, available: Callable[[str], None]) -> None:
    if start != "random":
        available(start)
    try:
        potential = network(name, start, check)
    except ModuleNotFoundError as error:  # an extra, or an environment of its own
        pytest.skip(str(error))
    check(potential, tmp_path)


@pytest.mark.parametrize("name", CARDS)
def test_facts_about_checkpoints_are_complete(name: str) -> None:
    for checkpoint, facts in CARDS[name].checkpoints.items():
        assert card_of(checkpoint) is CARDS[name]
        assert checkpoint_card(checkpoint) is facts
        assert all(value for key, value in vars(facts).items() if key != "transferred_from")
        assert facts.transferred_from in ("", *CARDS[name].checkpoints)
        assert len(facts.sha256) == 64


def test_unknown_names_are_refused_with_what_is_allowed() -> None:
    with pytest.raises(ValueError, match=r"did you mean 'chgnet-0\.3\.0'.*chgnet-r2scan"):
        card_of("chgnet-0.3.1")
    with pytest.raises(ValueError, match=r"no checkpoint or file 'chgnet-9'.*chgnet-0\.3\.0"):
        load("chgnet-9")
    with pytest.raises(ValueError, match="no architecture 'mace9'"):
        architecture("mace9")
