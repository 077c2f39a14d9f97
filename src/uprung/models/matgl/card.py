"""M3GNet and TensorNet of matgl and their published checkpoints, as facts.

matgl ships no weights: a checkpoint is a folder with matgl's files, looked for as `uprung.models.matgl.files` says.
"""

from __future__ import annotations

from uprung.models.cards import ArchitectureCard, Checkpoint

#: matgl's networks know hydrogen to plutonium without polonium, astatine, radon, francium and radium.
ELEMENTS = frozenset(range(1, 95)) - {84, 85, 86, 87, 88}
TRIPLET_CUTOFF = 4.0  # Å, of M3GNet's three-body interactions

_MATPES = "VASP energies without corrections (MatPES)"
_KAPLAN = "Kaplan et al., arXiv:2503.04070 (2025)"
_LICENCE = "BSD-3-Clause"
_OWN_PACKAGE = "matgl: matgl.load_model, after `uprung.models.matgl.files.export`"


#: End of the names of checkpoints whose weights are rewritten for the message passing of today's matgl.
CONVERTED = "-converted"
_CAVEAT = (
    "was trained with the message passing of matgl before 2.2; matgl computes another network with its weights since, "
    "which errs where a crystal has several elements (docs/architectures.md)"
)


def _matpes(name: str, functional: str, sha256: str, *, beside: str) -> Checkpoint:
    return Checkpoint(
        file=f"{name}/state.pt",
        sha256=sha256,
        functional=functional,
        label_scale=_MATPES,
        training_set=f"MatPES-{beside} 2025.1",
        citation=_KAPLAN,
        licence=_LICENCE,
    )


def _with_converted(checkpoints: dict[str, Checkpoint]) -> dict[str, Checkpoint]:
    """Return checkpoints of TensorNet and, of each, the one with the weights rewritten."""
    return checkpoints | {name.removesuffix("-PES") + CONVERTED: checkpoint for name, checkpoint in checkpoints.items()}


M3GNET = ArchitectureCard(
    name="m3gnet",
    title="M3GNet",
    module="uprung.models.matgl.m3gnet",
    packages=("matgl", "vesin"),
    targets=("energy", "force", "stress"),
    abilities=frozenset({"delta", "replay", "joint"}),
    cutoff=5.0,
    blocks=3,
    checkpoints={
        "M3GNet-MP-2021.2.8-PES": Checkpoint(
            file="M3GNet-MP-2021.2.8-PES/state.pt",
            sha256="a9aa723705bd1a242ec8749332f137811c4a94e17995a564f8f94a9aca68061b",
            functional="PBE",
            label_scale="VASP GGA and GGA+U energies of the Materials Project (MPF.2021.2.8)",
            training_set="MPF.2021.2.8",
            citation="Chen and Ong, Nat. Comput. Sci. 2, 718 (2022)",
            licence=_LICENCE,
        ),
        "M3GNet-MatPES-PBE-v2025.1-PES": _matpes(
            "M3GNet-MatPES-PBE-v2025.1-PES",
            "PBE",
            "9f710eac88ec2c666c8e488883c59768cf11c116f177e9d82896ae56f3fc338d",
            beside="PBE",
        ),
        "M3GNet-MatPES-r2SCAN-v2025.1-PES": _matpes(
            "M3GNet-MatPES-r2SCAN-v2025.1-PES",
            "r2SCAN",
            "b9b3234afc655b282c7930ff32cb5a5f98edde4a93475b0d4605b59c161fe483",
            beside="r2SCAN",
        ),
    },
    own_package=_OWN_PACKAGE,
    elements=ELEMENTS,
    caveats=dict.fromkeys(("M3GNet-MatPES-PBE-v2025.1-PES", "M3GNet-MatPES-r2SCAN-v2025.1-PES"), _CAVEAT),
)

TENSORNET = ArchitectureCard(
    name="tensornet",
    title="TensorNet",
    module="uprung.models.matgl.tensornet",
    packages=("matgl", "vesin"),
    targets=("energy", "force", "stress"),
    abilities=frozenset({"delta", "replay", "joint"}),
    cutoff=5.0,
    blocks=2,
    checkpoints=_with_converted(
        {
            "TensorNet-MatPES-PBE-v2025.1-PES": _matpes(
                "TensorNet-MatPES-PBE-v2025.1-PES",
                "PBE",
                "d2dfa51a65d23a47fd935eb0628177d2a1088584562091ef3350ce3a002fce6a",
                beside="PBE",
            ),
            "TensorNet-MatPES-r2SCAN-v2025.1-PES": _matpes(
                "TensorNet-MatPES-r2SCAN-v2025.1-PES",
                "r2SCAN",
                "b1f87297bac09ada6f0e2f41d362d784f894ff0f1f031478187c55ec661b71ba",
                beside="r2SCAN",
            ),
        }
    ),
    own_package=_OWN_PACKAGE,
    elements=ELEMENTS,
    caveats=dict.fromkeys(("TensorNet-MatPES-PBE-v2025.1-PES", "TensorNet-MatPES-r2SCAN-v2025.1-PES"), _CAVEAT),
)
