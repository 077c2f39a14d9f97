"""Which CHGNets the packed forward pass computes: those with the architecture of the 0.3.0 checkpoint."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from torch import nn

from uprung.models.chgnet.network import Network

if TYPE_CHECKING:
    from chgnet.model import CHGNet


class UnsupportedModelError(ValueError):
    """A CHGNet whose architecture is not the one that the packed forward computes."""


_checked: weakref.WeakSet[CHGNet] = weakref.WeakSet()


def check_supported(model: Network | CHGNet) -> None:
    """Raise UnsupportedModelError, naming the difference, unless a model has the architecture of 0.3.0."""
    if isinstance(model, Network) or model in _checked:
        return
    found = [message for holds, message in _requirements(model) if not holds]
    if found:
        raise UnsupportedModelError(
            "the packed forward computes the architecture of chgnet 0.3.0 only; this model has " + ", ".join(found)
        )
    _checked.add(model)


def _requirements(model: CHGNet) -> list[tuple[bool, str]]:
    from chgnet.model.composition_model import AtomRef  # imported where such a model is there already
    from chgnet.model.functions import MLP, GatedMLP

    args = model.model_args
    modules = list(model.modules())
    gated = [module for module in modules if isinstance(module, GatedMLP)]
    norms = [module for module in modules if isinstance(module, nn.LayerNorm)]
    outs = [getattr(layer, "mlp_out", None) for layer in (*model.atom_conv_layers, *model.bond_conv_layers)]
    reference = model.composition_model
    return [
        (all(args.get(name) == 64 for name in _SIZES), "feature or hidden sizes other than 64"),
        (args.get("angle_layer_hidden_dim") == 0, "hidden layers in its angle updates"),
        (model.n_conv >= 2 and args.get("update_bond") and args.get("update_angle"), "no bond or angle updates"),
        (all(isinstance(out, MLP) and out.layers[1].bias is None for out in outs), "biases in mlp_out"),
        (all(m.p == 0 for m in modules if isinstance(m, nn.Dropout)), "dropout"),
        (all(isinstance(m.bn1, nn.LayerNorm) for m in gated), "gated MLPs without layer norm"),
        (all(isinstance(m.activation, nn.SiLU) for m in gated), "another activation than silu"),
        (all(norm.eps == 1e-5 and norm.weight is not None for norm in norms), "unusual layer norms"),
        (args.get("conv_norm") is None, "norms after its convolutions"),
        (isinstance(model.readout_norm, nn.LayerNorm), "no layer norm before the read-out"),
        (bool(model.mlp_first) and isinstance(model.mlp, MLP), "another read-out than a sum of site energies"),
        (bool(model.is_intensive), "extensive energies"),
        (isinstance(reference, AtomRef) and reference.is_intensive, "no AtomRef of energies per atom"),
    ]


_SIZES = ("atom_fea_dim", "bond_fea_dim", "angle_fea_dim", "atom_conv_hidden_dim", "bond_conv_hidden_dim")
