"""Parts of a CHGNet: which layer a parameter belongs to, and which parts an arm trains."""

from __future__ import annotations

from chgnet.model import CHGNet

from uprung.config.arms import TrainablePart

REFERENCES = "references"
READOUT = "readout"
EMBEDDINGS = "embeddings"

_READOUT = ("readout_norm", "mlp", "site_wise")
_BLOCKS = ("atom_conv_layers", "bond_conv_layers", "angle_layers")


def layer_of(name: str) -> str:
    """Return the layer of a parameter of a CHGNet by its name: references, embeddings, block1 ..., readout.

    A block is one round of atom convolution, bond convolution and angle update.
    """
    first, *rest = name.split(".")
    if first == "composition_model":
        return REFERENCES
    if first in _BLOCKS:
        return f"block{int(rest[0]) + 1}"
    return READOUT if first in _READOUT else EMBEDDINGS


def freeze_all_but(model: CHGNet, part: TrainablePart) -> None:
    """Let training change a part of the network only; reference energies stay as they are set.

    Raises:
        ValueError: more blocks than the network has.
    """
    blocks = len(model.atom_conv_layers)
    if part == "all":
        return
    if part == "readout":
        kept = {READOUT}
    elif part == "all-but-embeddings":
        kept = {READOUT, *(f"block{k + 1}" for k in range(blocks))}
    else:
        count = int(part.split("-")[1])
        if count > blocks:
            raise ValueError(f"trainable: {part}, but the network has {blocks} blocks")
        kept = {READOUT, *(f"block{k + 1}" for k in range(blocks - count, blocks))}
    for name, p in model.named_parameters():
        layer = layer_of(name)
        if layer != REFERENCES and layer not in kept:
            p.requires_grad_(False)
