"""Code of architectures by name, saved networks, and what a study may ask of them.

Reading this module loads no network: cards are plain facts, and an architecture's code is imported when it is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from uprung.models.chosen import card_in
from uprung.models.shipped import CARDS, OWNERS, card_of, checkpoint_card

if TYPE_CHECKING:
    from uprung.config.study import Study
    from uprung.models.interface import Architecture, Potential

__all__ = ["CARDS", "architecture", "card_of", "checkpoint_card", "contradictions", "load"]


def architecture(name: str) -> Architecture:
    """Return the code behind a card.

    Raises:
        ValueError: an unknown name.
    """
    if name not in CARDS:
        raise ValueError(f"no architecture {name!r} (allowed: {', '.join(CARDS)})")
    module = importlib.import_module(CARDS[name].module)  # noqa: TID251 - a name that the library itself holds
    found: Architecture = module.ARCHITECTURE
    return found


def load(name_or_path: str | Path, fidelity: str | None = None) -> Potential:
    """Load a shipped checkpoint by name, or a saved network from a file.

    Args:
        name_or_path: `chgnet-0.3.0`, say, or the `model.pth.tar` of a run, or any file of an architecture's package.
        fidelity: which one to predict; has to be given for a network that has several, and only then.

    Raises:
        ValueError: an unknown name, no such file, a file of no known architecture, a fidelity that is not in it, or a
            network whose forces are not the gradient of its energy.
    """
    if str(name_or_path) in OWNERS:
        return architecture(OWNERS[str(name_or_path)].name).load(name_or_path, fidelity)
    if not Path(name_or_path).exists():
        raise ValueError(f"no checkpoint or file {str(name_or_path)!r} (checkpoints: {', '.join(OWNERS)})")
    found = architecture(_detected(Path(name_or_path))).load(name_or_path, fidelity)
    from uprung.models.gradient_check import check_gradient  # imports torch, which a study file is checked without

    check_gradient(found, name_or_path)
    return found


def _detected(path: Path) -> str:
    """Return the architecture whose network a file or folder holds; raises ValueError if there is none."""
    missing = []
    for name in CARDS:
        try:
            if architecture(name).reads(path):
                return name
        except ModuleNotFoundError as error:
            missing.append(str(error))
    if path.is_file():
        from uprung.models.torch_files import read_tensors  # imports torch, which a study file is checked without

        read_tensors(path)  # says what is wrong with a damaged file, or one with code in it
    titles = ", ".join(card.title for card in CARDS.values())
    raise ValueError("; ".join([f"{path} holds no network of {titles} that can be read here", *missing]))


def contradictions(study: Study) -> Iterator[str]:
    """Yield a message for every wish of a study that its architectures cannot fulfil."""
    softening = study.tests.softening
    used = [("architecture", study.architecture)]
    used += [(f"arms.{name}.architecture", arm.architecture) for name, arm in study.arms.items() if arm.architecture]
    used += [("tests.softening.models", name) for name in softening.models]
    physics = study.tests.physics
    used += [("tests.physics.models", name) for name in (physics.models if physics else [])]
    used += [(f"tests.softening.snapshots.{name}.model", entry.model) for name, entry in softening.snapshots.items()]
    used += [(f"checkpoints.{name}.architecture", name) for name in study.checkpoints]
    unknown = False
    for where, name in used:
        try:
            card_in(study, name)
        except ValueError as error:
            unknown = True
            yield f"{where}: {error}"
    if unknown:
        return
    for name in study.checkpoints:
        if name in OWNERS or name in CARDS:
            yield f"checkpoints.{name}: this is the name of a published checkpoint or an architecture; choose another"
    for target in study.transfer.targets:
        for card in {
            study.checkpoint_of(name): card_in(study, study.checkpoint_of(name)) for name in study.arms
        }.values():
            if target not in card.targets:
                yield f"transfer.targets: {card.title} predicts no {target} (allowed: {', '.join(card.targets)})"
    for name in study.arms:
        yield from _impossible(study, name)
    for name in softening.models:
        if name in CARDS:
            yield f"tests.softening.models: {name} is an architecture; name one of its checkpoints"
    if "per-element" in softening.correction.methods:
        yield from _without_parts(study)


def _impossible(study: Study, name: str) -> Iterator[str]:
    """Yield a message for every wish of an arm that its architecture cannot fulfil."""
    arm, checkpoint = study.arms[name], study.checkpoint_of(name)
    card = card_in(study, checkpoint)
    asked = {"delta": arm.delta, "replay": arm.replay is not None, "joint": arm.fidelities == "joint"}
    for ability, wanted in asked.items():
        if wanted and ability not in card.abilities:
            yield f"arms.{name}: {card.title} cannot do `{ability}`"
    for teacher in arm.replay.teachers if arm.replay else ():
        other = study.networks.get(teacher, study.architecture)
        if card_in(study, other).name != card.name:
            yield f"arms.{name}.replay.teachers: {teacher} is no network of {card.title}, whose inputs this arm has"
        elif other in CARDS and teacher in study.networks:
            yield f"arms.{name}.replay.teachers: {other} has no weights but random ones; name a network that is trained"
    blocks = int(arm.trainable.split("-")[1]) if arm.trainable.startswith("last-") else 0
    if blocks > card.blocks:
        yield f"arms.{name}.trainable: {arm.trainable}, but {card.title} has {card.blocks} blocks"
    predicted = arm.replay is not None and arm.replay.labels == "pretrained" and arm.init not in study.pretraining
    if checkpoint in CARDS and (study.start_of(name) in study.networks or predicted):
        allowed = ", ".join(card.checkpoints) or "a file of yours under `checkpoints`"
        yield f"arms.{name}: {checkpoint} has no weights but random ones, and this arm needs some (allowed: {allowed})"
    if arm.delta and checkpoint in study.checkpoints:
        yield f"arms.{name}: `delta: true` corrects a published checkpoint, and {checkpoint} is a file of yours"


def _without_parts(study: Study) -> Iterator[str]:
    """Yield a message for every network that has no forces by element where they are asked of it."""
    softening = study.tests.softening
    trained = (
        [] if softening.runs == "none" or not softening.sets else [study.checkpoint_of(name) for name in study.arms]
    )
    for card in {card.name: card for card in (card_in(study, name) for name in (*softening.models, *trained))}.values():
        if "forces-by-element" not in card.abilities:
            yield f"tests.softening.correction.methods: {card.title} has no forces by element"
