"""Facts about architectures and their checkpoints: names, functionals, licences, abilities. Loads no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

#: What an architecture may be able to do beyond predicting, training and saving.
Ability = Literal["delta", "replay", "joint", "forces-by-element"]


@dataclass(frozen=True)
class Checkpoint:
    """A published network of an architecture.

    Attributes:
        file: path inside the package, or inside the folder of checkpoints (`UPRUNG_CHECKPOINTS`).
        sha256: of the file.
        functional: whose labels it was trained on, as frames tables spell it (`PBE`, `r2SCAN`).
        label_scale: code, U rule and corrections of those labels, in words.
        training_set: name of the data set.
        citation: paper to cite.
        licence: of the weights.
        transferred_from: checkpoint that its training started from, if any.
    """

    file: str
    sha256: str
    functional: str
    label_scale: str
    training_set: str
    citation: str
    licence: str
    transferred_from: str = ""


@dataclass(frozen=True)
class ArchitectureCard:
    """An architecture as study files, rules and the report know it.

    Attributes:
        name: key in the registry and in cards of runs.
        title: as printed.
        module: where its code is; imported when a network is needed, not before.
        packages: distributions whose versions decide its numbers.
        targets: what it predicts, of energy, force, stress, magmom.
        abilities: what else it can do.
        cutoff: Å; an atom without a neighbour within it has no graph.
        blocks: rounds of message passing, which `trainable: last-<k>-block` counts.
        checkpoints: name in a study file -> checkpoint.
        own_package: name of the package that loads its saved networks, and how.
        elements: atomic numbers that it knows.
        environment: name of the environment of its own that its jobs run in (`uprung.job.environments`); '' for that of
            all others.
        caveats: checkpoint -> what the report says of it in every study that uses it, without the name.
    """

    name: str
    title: str
    module: str
    packages: tuple[str, ...]
    targets: tuple[str, ...]
    abilities: frozenset[Ability]
    cutoff: float
    blocks: int
    checkpoints: Mapping[str, Checkpoint]
    own_package: str
    elements: frozenset[int] = frozenset(range(1, 95))
    environment: str = ""
    caveats: Mapping[str, str] = field(default_factory=dict)
