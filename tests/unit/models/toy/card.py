"""The toy, as facts."""

from uprung.models.cards import ArchitectureCard

CARD = ArchitectureCard(
    name="toy",
    title="Toy",
    module="uprung.models.toy.architecture",
    packages=("ase",),
    targets=("energy", "force", "stress"),
    abilities=frozenset(),
    cutoff=5.0,
    blocks=1,
    checkpoints={},
    own_package="uprung",
)
