"""Networks of MACE in files of its own package, one head of each in memory."""

from __future__ import annotations

import contextlib
import io
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uprung.job.extras import extra
from uprung.job.files import write_whole
from uprung.models.interface import N_ELEMENTS, refuse_fidelity
from uprung.models.mace.card import CARD
from uprung.models.mace.described import describe

_UNSAFE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"  # importing mace sets it: torch.load would run what any file holds
_BEFORE = os.environ.get(_UNSAFE)
warnings.filterwarnings("ignore", message="The TorchScript type system")  # of every copy of a network
with extra("mace"), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
    warnings.simplefilter("ignore")  # of its own dependencies
    import mace  # noqa: F401 - first: e3nn 0.4 reads a file of its own with what it sets
    from e3nn import get_optimization_defaults, o3, set_optimization_defaults
    from mace.modules import blocks, interaction_classes
    from mace.modules.models import ScaleShiftMACE
if _BEFORE is None:
    os.environ.pop(_UNSAFE, None)

#: Tensors of the references and of what the network's energy is multiplied by.
_ENERGIES, _SCALE, _SHIFT = "atomic_energies_fn.atomic_energies", "scale_shift.scale", "scale_shift.shift"
_INTERACTIONS = {kind.__name__: kind for kind in interaction_classes.values()}
_CLASSES = ("interaction_cls", "interaction_cls_first")
_READOUTS = {kind.__name__: kind for kind in (blocks.LinearReadoutBlock, blocks.NonLinearReadoutBlock)}
_GATES = {None: None, "torch.nn.functional.silu": torch.nn.functional.silu}
#: A network of 32 channels up to vectors, with the neighbours of a crystal within its cutoff.
_NEW: dict[str, Any] = {
    "r_max": 5.0,
    "num_bessel": 8,
    "num_polynomial_cutoff": 5,
    "max_ell": 3,
    "interaction_cls": "RealAgnosticResidualInteractionBlock",
    "interaction_cls_first": "RealAgnosticResidualInteractionBlock",
    "num_interactions": CARD.blocks,
    "hidden_irreps": "32x0e+32x1o",
    "MLP_irreps": "16x0e",
    "gate": "torch.nn.functional.silu",
    "avg_num_neighbors": 36.0,
    "atomic_numbers": sorted(CARD.elements),
    "correlation": 3,
}


class MaceNetwork(NamedTuple):
    """One head of a MACE, without its references.

    `model` has a scale, and neither reference energies nor a shift, which is part of the references; `references` (94,)
    eV/atom, 0 for elements that it does not know; `arguments` in plain values (`uprung.models.mace.described`).
    """

    model: Any
    references: NDArray[np.float64]
    arguments: Mapping[str, Any]


class Head(NamedTuple):
    """What a head of a network has for itself: (94,) eV/atom, and the weights of its readouts by name."""

    references: NDArray[np.float64]
    readouts: Mapping[str, Tensor]


def new_network(seed: int) -> MaceNetwork:
    """Return a network with random weights, fixed by the seed, with references of zero."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return MaceNetwork(_build(_NEW), np.zeros(N_ELEMENTS), _NEW)


def from_file(path: Path, head: str | None) -> MaceNetwork:
    """Return a head of a network that MACE or uprung has saved.

    Args:
        path: the file.
        head: which one, of a network that has several; None for any other.

    Raises:
        ValueError: see `describe`; a head that it has not, a longer cutoff than the card's, other layers than the
            installed mace-torch builds.
    """
    arguments, heads, state = describe(path)
    if len(heads) == 1:
        refuse_fidelity(head, path)
    elif head not in heads:
        raise ValueError(f"{path} predicts several fidelities: choose one of {', '.join(heads)}, not {head!r}")
    if arguments["r_max"] > CARD.cutoff:
        raise ValueError(f"{path}: its cutoff is {arguments['r_max']:g} Å (allowed: up to {CARD.cutoff:g} Å)")
    if unknown := sorted({*arguments["atomic_numbers"]} - CARD.elements):
        raise ValueError(f"{path}: its elements Z = {unknown} are none that uprung knows")
    row = heads.index(head) if head is not None else 0
    single = {name: _of_head(name, value, row, len(heads), _scalars(arguments)) for name, value in state.items()}
    single = {name: value for name, value in single.items() if not name.endswith(".output_mask")}
    energies, shift = single.pop(_ENERGIES), single.pop(_SHIFT)
    try:
        model = _build(arguments)
        own = model.state_dict()
        held = {name for name in own if "._compiled_" not in name} - {_ENERGIES, _SHIFT}
        weights = {name for name, _ in model.named_parameters()}
        if other := sorted((weights - single.keys()) | (single.keys() - held)):  # buffers of newer versions are built
            raise ValueError(f"{other[0]} is in one of them only")
        model.load_state_dict(own | single)
    except (RuntimeError, KeyError, TypeError, ValueError, AssertionError) as error:
        raise ValueError(f"{path} does not fit the installed mace-torch: {error}") from error
    references = np.zeros(N_ELEMENTS)
    references[np.array(arguments["atomic_numbers"]) - 1] = (energies + shift).double().numpy()
    return MaceNetwork(model, references, arguments)


def _scalars(arguments: Mapping[str, Any]) -> int:
    """Return the number of scalars in the last readout of a head."""
    return int(arguments["MLP_irreps"].removesuffix("x0e"))


def _of_head(name: str, value: Tensor, row: int, n: int, scalars: int) -> Tensor:
    """Return the part of a tensor that belongs to one of n heads, as mace's `remove_pt_head` does."""
    if name == _ENERGIES:
        return value.reshape(-1, value.shape[-1])[row]
    if name in (_SCALE, _SHIFT):
        return value.reshape(-1)[row]
    if n == 1 or not name.startswith("readouts."):
        return value
    if name.endswith(".linear.weight"):
        return value.reshape(-1, n)[:, row]
    if name.endswith(".linear_1.weight"):
        return value.reshape(-1, n, scalars)[:, row].flatten()
    if name.endswith(".linear_2.weight"):
        return value.reshape(n, scalars, n)[row, :, row] / math.sqrt(n)
    return value


def _of_heads(name: str, values: Sequence[Tensor], scalars: int) -> Tensor:
    """Return the tensor of all heads: what `_of_head` takes apart. A head reads no other one's scalars."""
    n = len(values)
    if name.endswith(".linear.weight"):
        return torch.stack(list(values), dim=1).flatten()
    if name.endswith(".linear_1.weight"):
        return torch.stack([value.reshape(-1, scalars) for value in values], dim=1).flatten()
    joined = values[0].new_zeros(n, scalars, n)
    for head, value in enumerate(values):
        joined[head, :, head] = value * math.sqrt(n)
    return joined.flatten()


def save(network: MaceNetwork, path: str | Path, heads: Mapping[str, Head]) -> None:
    """Write a file of MACE's own.

    Args:
        network: what the heads share.
        path: replaced when the file is complete.
        heads: by name.
    """
    n = len(heads)
    state = {name: value.detach().cpu() for name, value in network.model.state_dict().items()}
    model = _build(network.arguments, list(heads)).to(state[_SCALE].dtype)
    rows = np.array(network.arguments["atomic_numbers"]) - 1
    state[_ENERGIES] = torch.from_numpy(np.stack([head.references[rows] for head in heads.values()]))
    for name in (_SCALE, _SHIFT):
        state[name] = state[name].expand(n).clone() if n > 1 else state[name]
    for name in next(iter(heads.values())).readouts:
        parts = [head.readouts[name].detach().cpu() for head in heads.values()]
        state[name] = _of_heads(name, parts, _scalars(network.arguments))
    own = model.state_dict()
    masks = {name: own[name] for name in own if name.endswith(".output_mask")}
    model.load_state_dict(state | masks)
    stream = io.BytesIO()
    with _quiet():
        torch.save(model, stream)
    write_whole(path, stream.getvalue())


def _known(what: str, table: Mapping[Any, Any], name: Any) -> Any:
    """Return an entry of a table; raises ValueError for what it has not."""
    if name not in table:
        raise ValueError(f"the {what} {name} is not computed here")
    return table[name]


def _build(arguments: Mapping[str, Any], heads: Sequence[str] = ("Default",)) -> Any:
    """Return a network with random weights, references of zero and a scale of one."""
    n, numbers = len(heads), arguments["atomic_numbers"]
    given = {
        **arguments,
        **{name: _known("interaction", _INTERACTIONS, arguments[name]) for name in _CLASSES},
        "readout_cls": _known("readout", _READOUTS, arguments.get("readout_cls", "NonLinearReadoutBlock")),
        "gate": _known("non-linearity", _GATES, arguments["gate"]),
        **{name: o3.Irreps(arguments[name]) for name in ("hidden_irreps", "MLP_irreps")},
        "edge_irreps": o3.Irreps(arguments["edge_irreps"]) if arguments.get("edge_irreps") else None,
    }
    usual = get_optimization_defaults()
    set_optimization_defaults(jit_script_fx=False)  # TorchScript is slow for some steps, and then another kernel
    try:
        with _quiet():
            return ScaleShiftMACE(
                **given,
                atomic_inter_scale=[1.0] * n if n > 1 else 1.0,
                atomic_inter_shift=[0.0] * n if n > 1 else 0.0,
                atomic_energies=np.zeros((n, len(numbers))),
                num_elements=len(numbers),
                heads=list(heads),
            )
    finally:
        set_optimization_defaults(**usual)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
