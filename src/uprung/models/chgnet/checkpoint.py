"""CHGNet networks: shipped files, new ones, saved ones, and their elemental reference energies.

Those with the architecture of 0.3.0 are read without chgnet's own class (`uprung.models.chgnet.network`).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chgnet
import numpy as np
import torch
from numpy.typing import NDArray

from uprung.models.chgnet.card import CARD
from uprung.models.chgnet.network import Network, References, fits
from uprung.models.interface import N_ELEMENTS, check_references
from uprung.models.torch_files import read_tensors, require_finite, write_tensors

if TYPE_CHECKING:
    from chgnet.model import CHGNet


def shipped_chgnet(name: str) -> Network | CHGNet:
    """Return a checkpoint that the chgnet package ships, on the CPU; prints nothing.

    Args:
        name: a key of `CARD.checkpoints`.

    Raises:
        ValueError: the file has another checksum than the known one.
    """
    checkpoint = CARD.checkpoints[name]
    path = Path(chgnet.__file__).parent / checkpoint.file
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != checkpoint.sha256:
        raise ValueError(f"the file of {name} in the chgnet package has sha256 {found}, expected {checkpoint.sha256}")
    return from_content(read_tensors(path), path, version=name.removeprefix("chgnet-"))


def new_chgnet(seed: int) -> Network:
    """Return a randomly initialised network with the architecture and reference energies of 0.3.0, on the CPU.

    The seed alone fixes the weights; the global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = Network({"mlp_out_bias": False})
    set_atomref(network, atomref(shipped_chgnet("chgnet-0.3.0")), trainable=False)
    return network


def save_chgnet(
    model: Network | CHGNet, path: Path | str, *, key: str = "model", beside: dict[str, Any] | None = None
) -> None:
    """Write a network for `CHGNet.from_file`; the file appears complete or not at all.

    Args:
        model: whether its reference energies are trainable is not part of the file.
        path: the file.
        key: other than "model" it hides the network from `CHGNet.from_file`, for one that means nothing alone.
        beside: further entries of the file, tensors and plain values.

    Raises:
        ValueError: arguments of the model that are not plain values, or a composition model other than AtomRef.
    """
    arguments = _plain(dict(model.model_args), "model_args")
    state = {name: value.detach().to("cpu").clone() for name, value in model.state_dict().items()}
    write_tensors(path, {key: {"state_dict": state, "model_args": arguments}, **(beside or {})})


def atomref(model: Network | CHGNet) -> NDArray[np.float64]:
    """Return the elemental reference energies, (94,) in eV/atom, index Z − 1."""
    weight: torch.Tensor = _reference(model).fc.weight
    return weight.detach().to("cpu", torch.float64).reshape(-1).numpy().copy()


def set_atomref(model: Network | CHGNet, values: NDArray[np.float64], *, trainable: bool) -> None:
    """Replace the elemental reference energies in place.

    Args:
        model: the network.
        values: (94,) eV/atom, index Z − 1.
        trainable: whether an optimiser may move them.

    Raises:
        ValueError: another shape, or values that are not finite.
    """
    reference = _reference(model)
    weight: torch.nn.Parameter = reference.fc.weight
    with torch.no_grad():
        weight.copy_(torch.from_numpy(check_references(values)).reshape(1, -1))
    weight.requires_grad_(trainable)
    reference.fitted = True


def _reference(model: Network | CHGNet) -> Any:
    reference = model.composition_model
    if not _is_reference(reference) or reference.max_num_elements != N_ELEMENTS:
        raise ValueError(f"the model needs an AtomRef of {N_ELEMENTS} elements, it has {type(reference).__name__}")
    return reference


def _is_reference(value: Any) -> bool:
    """Return whether something is the module of reference energies, ours or chgnet's."""
    return isinstance(value, References) or (type(value).__module__, type(value).__name__) == _STOCK_REFERENCES


_STOCK_REFERENCES = ("chgnet.model.composition_model", "AtomRef")


def from_content(
    content: dict[str, Any], path: Path, *, key: str = "model", version: str | None = None
) -> Network | CHGNet:
    """Build the network that an entry of a checkpoint file holds; ValueError if there is none or it does not fit."""
    saved = content.get(key)
    if not isinstance(saved, dict) or not {"state_dict", "model_args"} <= saved.keys():
        raise ValueError(f"{path} is not a CHGNet checkpoint: it lacks {key} / state_dict, model_args")
    try:
        arguments = dict(saved["model_args"])
        if version is not None:
            arguments["version"] = version
        with torch.random.fork_rng(devices=[]), _quiet():
            model = Network(arguments) if fits(arguments) else _stock(arguments)
        require_finite(saved["state_dict"], path)
        model.load_state_dict(saved["state_dict"])
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} does not fit the installed chgnet: {error}") from error
    return model


def _stock(arguments: Mapping[str, Any]) -> CHGNet:
    """Return a network of chgnet's own class, for an architecture that is not that of 0.3.0."""
    from chgnet.model import CHGNet  # brings pymatgen: seconds that hardly any job needs

    return CHGNet(**arguments)


def _plain(value: Any, where: str) -> Any:
    """``value`` with tuples as lists and AtomRef as its name; ValueError for what is not a plain type."""
    if _is_reference(value):
        return "MPtrj"  # only creates the module: its weights are in the state dictionary
    if isinstance(value, dict):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, where) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"cannot save {where} of type {type(value).__name__}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):
        yield
