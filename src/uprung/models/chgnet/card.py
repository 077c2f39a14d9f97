"""CHGNet and its shipped checkpoints, as facts."""

from __future__ import annotations

from uprung.models.cards import ArchitectureCard, Checkpoint

CARD = ArchitectureCard(
    name="chgnet",
    title="CHGNet",
    module="uprung.models.chgnet.architecture",
    packages=("chgnet", "vesin"),
    targets=("energy", "force", "stress", "magmom"),
    abilities=frozenset({"delta", "replay", "joint", "forces-by-element"}),
    cutoff=6.0,
    blocks=4,
    checkpoints={
        "chgnet-0.3.0": Checkpoint(
            file="pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
            sha256="d14ab7c0f093efe64b60a7bcd540bca10e74fb7f46c86108a079af60524659d1",
            functional="PBE",
            label_scale="VASP GGA and GGA+U energies with Materials Project mixing corrections (MPtrj)",
            training_set="MPtrj",
            citation="Deng et al., Nat. Mach. Intell. 5, 1031 (2023)",
            licence="BSD-3-Clause",
        ),
        "chgnet-r2scan": Checkpoint(
            file="pretrained/r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar",
            sha256="8eba3db0f35a2788bb3ae22885ad340591e27996f213c6643af522a633b50dad",
            functional="r2SCAN",
            label_scale="VASP r²SCAN energies (MP-r2SCAN)",
            training_set="MP-r2SCAN, from chgnet-0.3.0",
            citation="Huang et al., npj Comput. Mater. 11, 313 (2025)",
            licence="BSD-3-Clause",
            transferred_from="chgnet-0.3.0",
        ),
    },
    own_package="chgnet: CHGNet.from_file",
)
