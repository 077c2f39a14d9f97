"""The toy, as facts."""

from uprung.models.cards import ArchitectureCard

CARD = ArchitectureCard(
    name="toy",
    title="Toy",
    module="uprung.models.toy.architecture",
    packages=("vesin",),
    targets=("energy", "force", "stress"),
    abilities=frozenset({"replay", "joint"}),
    cutoff=5.0,
    blocks=1,
    checkpoints={},
    own_package="uprung",
)
