"""What a file of MACE says of its network: the arguments that build it, its heads and its tensors. No code of it runs.

MACE saves the whole network as a pickle, in which every layer is an object of its classes, with code of TorchScript
beside the weights. Of all that, names of classes, plain values and tensors are taken; the installed package builds the
layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from uprung.models.torch_files import Pickled, read_described, require_finite

CLASS = "mace.modules.models.ScaleShiftMACE"
_RADIAL = {"BesselBasis": "bessel", "GaussianBasis": "gaussian", "ChebychevBasis": "chebyshev"}
_DISTANCE = {"": "None", "AgnesiTransform": "Agnesi", "SoftTransform": "Soft"}
#: Attributes that are arguments, with their values where a file of an older version has none.
_KEPT: dict[str, Any] = {
    "use_reduced_cg": False,
    "use_so3": False,
    "use_edge_irreps_first": False,
    "use_agnostic_product": False,
    "use_last_readout_only": False,
    "apply_cutoff": True,
}


class Description(NamedTuple):
    """A network of MACE as a file describes it.

    `arguments` in plain values (irreps as text, classes and functions by name), without references; `heads` its names;
    `state` name -> tensor, of all heads.
    """

    arguments: dict[str, Any]
    heads: list[str]
    state: dict[str, Tensor]


def describe(path: Path) -> Description:
    """Read a file of MACE.

    Raises:
        ValueError: it holds something else, a network of another kind, or weights that are no numbers.
    """
    model = read_described(path, ("mace", "e3nn", "torch"))
    if not isinstance(model, Pickled) or model.name != CLASS:
        kind = model.name if isinstance(model, Pickled) else type(model).__name__
        raise ValueError(
            f"{path} holds a {kind.rpartition('.')[2]}, not a ScaleShiftMACE, which alone is computed here"
        )
    try:
        found = Description(_arguments(model), list(model.state.get("heads") or ["Default"]), dict(_tensors(model)))
    except (KeyError, IndexError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its network is not built as those of mace-torch: {error!r}") from error
    require_finite(found.state, path)
    if "joint_embedding" in model.state["_modules"]:
        raise ValueError(f"{path}: its network reads charges, spins or other inputs beside the structure")
    return found


def _tensors(module: Pickled, above: str = "") -> Mapping[str, Tensor]:
    """Return the parameters and buffers of a module and those below, by name as in a state dictionary."""
    found: dict[str, Tensor] = {}
    if isinstance(module.state, dict):
        own = {**module.state.get("_parameters", {}), **module.state.get("_buffers", {})}
        found |= {above + name: value.detach() for name, value in own.items() if isinstance(value, Tensor)}
        for name, part in module.state.get("_modules", {}).items():
            found |= _tensors(part, f"{above}{name}.") if isinstance(part, Pickled) else {}
    return found


def _part(module: Pickled, *names: str | int) -> Pickled:
    """Return a module below another one; a negative number counts from the last."""
    for name in names:
        parts = module.state["_modules"]
        module = list(parts.values())[name] if isinstance(name, int) else parts[name]
    return module


def _class(module: Pickled) -> str:
    return module.name.rpartition(".")[2]


def irreps(value: Any) -> str:
    """Return irreducible representations of e3nn as text: `64x0e+64x1o`."""
    if isinstance(value, str):
        return value
    parts = [(mul, ir.args[0]) for mul, ir in (part.args[0] for part in value.args[0])]
    return "+".join(f"{mul}x{degree}{'e' if parity == 1 else 'o'}" for mul, (degree, parity) in parts)


def _arguments(model: Pickled) -> dict[str, Any]:
    """Return what the network was built with, as `extract_config_mace_model` of mace-torch 0.3.16 finds it."""
    state, readout = model.state, _part(model, "readouts", -1)
    radial, interactions = _part(model, "radial_embedding"), _part(model, "interactions").state["_modules"]
    contraction = _part(model, "products", 0, "symmetric_contractions", "contractions", 0)
    distance = radial.state["_modules"].get("distance_transform")
    edge = state.get("edge_irreps")
    n_heads = len(state.get("heads") or [""])
    hidden = readout.state.get("hidden_irreps")
    scalars = torch.tensor([part.args[0][0] for part in hidden.args[0]]).sum() if hidden is not None else n_heads
    return {
        "r_max": float(state["_buffers"]["r_max"]),
        "num_bessel": len(next(iter(_tensors(_part(radial, "bessel_fn")).values()))),
        "num_polynomial_cutoff": int(_part(radial, "cutoff_fn").state["_buffers"]["p"]),
        "max_ell": int(_part(model, "spherical_harmonics").state["_lmax"]),
        "interaction_cls": _class(list(interactions.values())[-1]),
        "interaction_cls_first": _class(next(iter(interactions.values()))),
        "num_interactions": len(interactions),
        "hidden_irreps": irreps(_part(model, "products", 0, "linear").state["irreps_out"]),
        "edge_irreps": None if edge is None else irreps(edge),
        "MLP_irreps": f"{max(1, int(scalars) // n_heads)}x0e",
        "gate": _gate(readout),
        "readout_cls": _class(readout),
        "avg_num_neighbors": float(_part(model, "interactions", 0).state["avg_num_neighbors"]),
        "atomic_numbers": [int(z) for z in state["_buffers"]["atomic_numbers"]],
        "correlation": 1 + len(_part(contraction, "weights").state["_parameters"]),
        "radial_type": _RADIAL[_class(_part(radial, "bessel_fn"))],
        "radial_MLP": [int(n) for n in _part(model, "interactions", 0, "conv_tp_weights").state["hs"][1:-1]],
        "pair_repulsion": "pair_repulsion_fn" in state["_modules"],
        "distance_transform": _DISTANCE[_class(distance) if distance is not None else ""],
        **{name: bool(state.get(name, usual)) for name, usual in _KEPT.items()},
    }


def _gate(readout: Pickled) -> str | None:
    """Return the name of the non-linearity of a readout, None for a linear one."""
    if "non_linearity" not in readout.state["_modules"]:
        return None
    function = _part(readout, "non_linearity", "acts", 0).state["f"]
    return str(function.name)
