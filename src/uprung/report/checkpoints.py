"""Facts about shipped checkpoints that the page prints."""

from __future__ import annotations

from dataclasses import dataclass

ARCHITECTURE = "CHGNet"
#: Checkpoints before and after the published transfer.
PUBLISHED_TRANSFER = ("chgnet-0.3.0", "chgnet-r2scan")


@dataclass(frozen=True)
class CheckpointFacts:
    """Functional, label scale and training set of a checkpoint."""

    functional: str
    label_scale: str
    training_set: str


_FACTS = {
    "chgnet-0.3.0": CheckpointFacts(
        "PBE", "VASP GGA and GGA+U energies with Materials Project mixing corrections", "MPtrj"
    ),
    "chgnet-r2scan": CheckpointFacts("r²SCAN", "VASP r²SCAN energies", "MP-r2SCAN"),
}


def checkpoint_card(name: str) -> CheckpointFacts:
    """Return the facts about a checkpoint; KeyError for an unknown one."""
    return _FACTS[name]
