"""SevenNet and the checkpoints that its package ships, as facts."""

from __future__ import annotations

from uprung.models.cards import ArchitectureCard, Checkpoint

_FOLDER = "pretrained_potentials"
_PARK = "Park et al., J. Chem. Theory Comput. 20, 4857 (2024)"
_KIM = "Kim et al., J. Am. Chem. Soc. 147, 1042 (2025)"
_LICENCE = "MIT"


def _mode(functional: str, label_scale: str, training_set: str) -> Checkpoint:
    """Return a fidelity of the multi-fidelity network, as a checkpoint of its own."""
    return Checkpoint(
        file=f"{_FOLDER}/SevenNet_MF_0/checkpoint_sevennet_mf_0.pth",
        sha256="81791329b37d445f46b531578c182c41792d98c7814222c9e5dde276402225fd",
        functional=functional,
        label_scale=label_scale,
        training_set=training_set,
        citation=_KIM,
        licence=_LICENCE,
    )


CARD = ArchitectureCard(
    name="sevennet",
    title="SevenNet",
    module="uprung.models.sevennet.architecture",
    packages=("sevenn", "e3nn", "vesin"),
    targets=("energy", "force", "stress"),
    abilities=frozenset({"delta", "replay", "joint"}),
    cutoff=5.0,
    blocks=5,
    checkpoints={
        "7net-0": Checkpoint(
            file=f"{_FOLDER}/SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
            sha256="7052cb42b7b3be42b40b97fa0d21077a48c54b5548948fc4dcf346629f813c36",
            functional="PBE",
            label_scale="VASP GGA and GGA+U energies without corrections (MPtrj)",
            training_set="MPtrj",
            citation=_PARK,
            licence=_LICENCE,
        ),
        "7net-MF-0-PBE": _mode(
            "PBE", "VASP GGA and GGA+U energies without corrections (MPtrj)", "MPtrj, with MP-r2SCAN beside it"
        ),
        "7net-MF-0-R2SCAN": _mode("r2SCAN", "VASP r²SCAN energies (MP-r2SCAN)", "MP-r2SCAN, with MPtrj beside it"),
    },
    own_package="sevenn: SevenNetCalculator",
    elements=frozenset(range(1, 95)) - {84, 85, 86, 87, 88},
)
