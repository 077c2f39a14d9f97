"""The parameters of a CHGNet of the 0.3.0 architecture, in the modules and under the names of chgnet's own class.

The packed forward pass reads parameters alone, and importing chgnet's class takes longer than many a job: it brings
pymatgen. Weights, their order, the random numbers behind new ones and the arguments in a saved file are those of
`chgnet.model.CHGNet` (chgnet 0.4.2; Deng et al., Nat. Mach. Intell. 5, 1031 (2023)), which tests hold them against.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

#: Arguments of the class that the 0.3.0 checkpoint was made with, in the order of the class.
ARGUMENTS: dict[str, Any] = {
    "atom_fea_dim": 64,
    "bond_fea_dim": 64,
    "angle_fea_dim": 64,
    "composition_model": "MPtrj",
    "num_radial": 31,
    "num_angular": 31,
    "n_conv": 4,
    "atom_conv_hidden_dim": 64,
    "update_bond": True,
    "bond_conv_hidden_dim": 64,
    "update_angle": True,
    "angle_layer_hidden_dim": 0,
    "conv_dropout": 0,
    "read_out": "ave",
    "mlp_hidden_dims": [64, 64, 64],
    "mlp_dropout": 0,
    "mlp_first": True,
    "is_intensive": True,
    "non_linearity": "silu",
    "atom_graph_cutoff": 6,
    "bond_graph_cutoff": 3,
    "graph_converter_algorithm": "fast",
    "cutoff_coeff": 8,
    "learnable_rbf": True,
    "gMLP_norm": "layer",
    "readout_norm": "layer",
}
#: What it may be given beside them, with the values of 0.3.0.
_BESIDE = {"mlp_out_bias": False, "conv_norm": None, "final_mlp": "MLP"}
#: Arguments that no parameter depends on: the version, how graphs are built, how structures would be averaged.
_INDIFFERENT = {"version", "graph_converter_algorithm", "converter_verbose", "read_out"}
#: Tables that elemental references begin with; their form is one and the same.
_TABLES = ("MPtrj", "MPtrj_e", "MPF", "MP-r2SCAN")
_N_ELEMENTS = 94


def fits(arguments: Mapping[str, Any]) -> bool:
    """Return whether arguments of chgnet's class describe the architecture of 0.3.0."""
    wanted = {**ARGUMENTS, **_BESIDE}
    return all(
        name in _INDIFFERENT
        or (name == "composition_model" and isinstance(value, str) and value in _TABLES)
        or (name in wanted and _plain(value) == wanted[name])
        for name, value in arguments.items()
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


class Network(nn.Module):
    """Parameters of a CHGNet; what is computed with them is in `uprung.models.chgnet.packed`."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        """Make random weights, by torch's global generator.

        Args:
            arguments: of chgnet's class, for which `fits` holds; they are saved with the network.
        """
        super().__init__()
        self.model_args = {**ARGUMENTS, "version": None, **arguments}  # in the order of the class
        self.n_conv, self.is_intensive, self.mlp_first = 4, True, True
        self.composition_model = References()
        self.atom_embedding = _holding(embedding=nn.Embedding(_N_ELEMENTS, 64))
        self.bond_basis_expansion = _holding(rbf_expansion_ag=_Radial(6), rbf_expansion_bg=_Radial(3))
        self.bond_embedding = nn.Linear(31, 64, bias=False)
        self.bond_weights_ag = nn.Linear(31, 64, bias=False)
        self.bond_weights_bg = nn.Linear(31, 64, bias=False)
        self.angle_basis_expansion = _holding(fourier_expansion=_Fourier())
        self.angle_embedding = nn.Linear(31, 64, bias=False)
        self.atom_conv_layers = nn.ModuleList(_convolution("twoBody_atom", 3) for _ in range(4))
        self.bond_conv_layers = nn.ModuleList(_convolution("twoBody_bond", 4) for _ in range(3))
        self.angle_layers = nn.ModuleList(_holding(twoBody_bond=_Gated(4, hidden=False)) for _ in range(3))
        self.site_wise = nn.Linear(64, 1)
        self.readout_norm = nn.LayerNorm(64)
        self.mlp = _Layers([64, 64, 64, 64, 1])

    @property
    def version(self) -> str | None:
        """Version of the shipped checkpoint that the weights are from."""
        version: str | None = self.model_args["version"]
        return version


class References(nn.Module):
    """Energies of the elements, one per atom."""

    def __init__(self) -> None:
        """Make random ones, as the class does before it fills in a table."""
        super().__init__()
        self.is_intensive, self.max_num_elements, self.fitted = True, _N_ELEMENTS, True
        self.fc = nn.Linear(_N_ELEMENTS, 1, bias=False)
        self.fc.weight.requires_grad_(False)


class _Radial(nn.Module):
    """Frequencies of Bessel functions, and the polynomial that ends them at a cutoff (Å)."""

    def __init__(self, cutoff: float) -> None:
        super().__init__()
        self.inv_cutoff = 1 / cutoff
        self.norm_const = (2 * self.inv_cutoff) ** 0.5
        self.frequencies = nn.Parameter(torch.from_numpy(np.pi * np.arange(1, 32, dtype=np.float32)))
        self.smooth_cutoff = _Cutoff(cutoff)


class _Cutoff:
    """1 + a xᵖ + b xᵖ⁺¹ + c xᵖ⁺² of x = r / cutoff, with p = 8."""

    def __init__(self, cutoff: float) -> None:
        self.cutoff, p = cutoff, 8
        self.p, self.a, self.b, self.c = p, -(p + 1) * (p + 2) / 2, p * (p + 2), -p * (p + 1) / 2


class _Fourier(nn.Module):
    """Frequencies of the waves of angles."""

    def __init__(self) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(torch.arange(1, 16, dtype=torch.float))


class _Layers(nn.Module):
    """Linear layers with SiLU between them; the places of chgnet's dropout, which 0.3.0 does not use, stay empty."""

    def __init__(self, widths: list[int], *, bias: bool = True) -> None:
        super().__init__()
        linear = [nn.Linear(before, after, bias=bias) for before, after in pairwise(widths)]
        hidden = [module for layer in linear[:-1] for module in (layer, nn.SiLU())]
        self.layers = nn.Sequential(*hidden, nn.Identity(), linear[-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layers to features (n, 64)."""
        found: torch.Tensor = self.layers(x)
        return found


class _Gated(nn.Module):
    """A gated MLP on several features of 64 side by side."""

    def __init__(self, features: int, *, hidden: bool) -> None:
        super().__init__()
        widths = [64 * features, *([64] if hidden else []), 64]
        self.mlp_core, self.mlp_gate = _Layers(widths), _Layers(widths)
        self.bn1, self.bn2 = nn.LayerNorm(64), nn.LayerNorm(64)


def _holding(**modules: nn.Module) -> Any:
    """Return a module that holds others, which are reached by their names; types do not know these."""
    holder = nn.Module()
    for name, module in modules.items():
        holder.add_module(name, module)
    return holder


def _convolution(name: str, features: int) -> Any:
    """Return a gated MLP and the linear layer after it."""
    gated = _Gated(features, hidden=True)
    return _holding(**{name: gated}, mlp_out=_Layers([64, 64], bias=False))
