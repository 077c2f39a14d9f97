"""MACE, as facts: its package ships no network, so a study trains one from random weights."""

from __future__ import annotations

from uprung.models.cards import ArchitectureCard

CARD = ArchitectureCard(
    name="mace",
    title="MACE",
    module="uprung.models.mace.architecture",
    packages=("mace-torch", "e3nn", "vesin"),
    targets=("energy", "force", "stress"),
    abilities=frozenset({"replay", "joint"}),
    cutoff=6.0,
    blocks=2,
    checkpoints={},
    own_package="mace: mace.calculators.MACECalculator",
    environment="mace",
)
