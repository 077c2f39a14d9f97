"""Networks of SevenNet in files: checkpoints of its package, and those that uprung saves, which the package loads."""

from __future__ import annotations

import contextlib
import hashlib
import io
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from uprung.job.extras import extra
from uprung.models.interface import N_ELEMENTS
from uprung.models.sevennet.card import CARD
from uprung.models.torch_files import read_tensors, require_finite

with extra("sevennet"), warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own dependencies
    import sevenn
    import sevenn._const as defaults
    from sevenn.checkpoint import SevenNetCheckpoint, _config_cp_routine
    from sevenn.nn.sequential import AtomGraphSequential

#: What a file of the package has to say for the package to build the network; the rest of `config` is about training.
_KEPT = frozenset(
    (
        *defaults.DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG,
        *("version", "_model_type", "chemical_species", "_number_of_species", "_type_map", "shift", "scale"),
        *("_chemical_species_by_atomic_number", "use_species_wise_shift_scale", "use_modality", "_modal_map"),
        *("_number_of_modalities", "use_modal_wise_shift", "use_modal_wise_scale", "modal_list", "default_modal"),
    )
)
_SHIFT = "rescale_atomic_energy.shift"
_CONSTANT = "._tensor_constant"


class SevenNetNetwork(NamedTuple):
    """A network of SevenNet whose reference energies are outside."""

    model: AtomGraphSequential
    config: Mapping[str, Any]
    modal: str | None  # the fidelity of a network that has several
    references: Mapping[str, NDArray[np.float64]]  # fidelity, '' where there is one, -> (94,) eV/atom


def shipped(name: str) -> SevenNetNetwork:
    """Return a checkpoint that the package ships.

    Raises:
        ValueError: the file has another checksum than the known one.
    """
    checkpoint = CARD.checkpoints[name]
    path = Path(sevenn.__file__).parent / checkpoint.file
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != checkpoint.sha256:
        raise ValueError(f"the file of {name} in the sevenn package has sha256 {found}, expected {checkpoint.sha256}")
    modal = name.rpartition("-")[2] if "-MF-" in name else None
    return from_content(read_tensors(path, arrays=True), path, modal)


def new_network(seed: int) -> SevenNetNetwork:
    """Return a network with random weights, fixed by the seed, built as 7net-0, with references of zero."""
    known = shipped("7net-0")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = _build(known.config, None, Path("7net-0"))
    state, random = known.model.state_dict(), model.state_dict()
    # denominators and scale are statistics of data and no weights; random ones of both would not train
    kept = {name: state[name] for name in random if name.endswith((".denominator", ".scale", ".shift"))}
    model.load_state_dict(random | kept)
    return SevenNetNetwork(model, known.config, None, {"": np.zeros(N_ELEMENTS)})


def modes_of(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fidelities of a file's network; none for a network of one."""
    config = content["config"]
    return tuple(config["_modal_map"]) if config.get("use_modality") else ()


def is_checkpoint(content: Mapping[str, Any]) -> bool:
    """Return whether a file is one of the package."""
    return isinstance(content.get("config"), dict) and isinstance(content.get("model_state_dict"), dict)


def from_content(content: Mapping[str, Any], path: Path, modal: str | None) -> SevenNetNetwork:
    """Build the network that a file of the package holds.

    Args:
        content: of the file.
        path: for messages.
        modal: the fidelity of a network that has several, None for one that has not.

    Raises:
        ValueError: it does not fit, or has another cutoff, number of blocks or elements than the card says.
    """
    config, state = dict(content["config"]), content["model_state_dict"]
    require_finite(state, path)
    try:
        with _quiet():
            config = _config_cp_routine(config)  # type: ignore[no-untyped-call]
        model = _build(config, state, path)
    except (RuntimeError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise ValueError(f"{path} does not fit the installed sevenn: {error!r}") from error
    found = {
        "cutoff": (config["cutoff"], CARD.cutoff),
        "num_convolution_layer": (config["num_convolution_layer"], CARD.blocks),
        "elements": (sorted(config["_type_map"]), sorted(CARD.elements)),
    }
    if other := [name for name, (value, wanted) in found.items() if value != wanted]:
        raise ValueError(f"{path}: its {', '.join(other)} are not those of the SevenNets that uprung computes")
    rows = [config["_type_map"][z] for z in sorted(CARD.elements)]
    shift = model.state_dict()[_SHIFT].double().numpy()
    shifts = {name: shift[row] for name, row in config["_modal_map"].items()} if shift.ndim == 2 else {"": shift}
    if shift.ndim == 1 and modal is not None:
        shifts = dict.fromkeys(config["_modal_map"], shift)
    references = {}
    for name, values in shifts.items():
        references[name] = np.zeros(N_ELEMENTS)
        references[name][np.array(sorted(CARD.elements)) - 1] = values[rows]
    model.load_state_dict(model.state_dict() | {_SHIFT: torch.zeros_like(model.state_dict()[_SHIFT])})
    kept = {name: _plain(value) for name, value in config.items() if name in _KEPT}
    return SevenNetNetwork(model, kept | {"version": sevenn.__version__}, modal, references)


def _build(config: Mapping[str, Any], state: Mapping[str, torch.Tensor] | None, path: Path) -> AtomGraphSequential:
    """Build a network by the package's own code, which knows the formats of its versions."""
    checkpoint: Any = SevenNetCheckpoint(path)
    checkpoint._config, checkpoint._loaded = dict(config), True
    with _quiet():
        if state is None:
            from sevenn.model_build import build_E3_equivariant_model

            model: AtomGraphSequential = build_E3_equivariant_model(checkpoint.config)
        else:
            checkpoint._model_state_dict = dict(state)
            model = checkpoint.build_model()
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if not parameter.requires_grad:  # statistics of data, which no arm of a study trains
                del module._parameters[name]
                module.register_buffer(name, parameter.detach())
    return model


def saved_network(network: SevenNetNetwork) -> dict[str, Any]:
    """Return a network as the package's checkpoints are: tensors and plain values."""
    known = network.model.state_dict().items()
    # torch.fx makes buffers of the constants of e3nn's code when a network is copied
    state = {name: value.detach().to("cpu").clone() for name, value in known if _CONSTANT not in name}
    type_map: dict[int, int] = network.config["_type_map"]
    for name, values in network.references.items():
        shift = state[_SHIFT][network.config["_modal_map"][name]] if state[_SHIFT].ndim == 2 else state[_SHIFT]
        for z, row in type_map.items():
            shift[row] = values[z - 1]
    return {"model_state_dict": state, "config": dict(network.config), "epoch": 0, "modal": network.modal or ""}


def _plain(value: Any) -> Any:
    """Return numbers of NumPy and torch as Python's."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic | torch.Tensor) else value


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
