"""Networks of matgl in files: published checkpoints, saved runs, and folders that `matgl.load_model` reads."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from uprung.job.extras import extra
from uprung.models.cards import ArchitectureCard
from uprung.models.interface import N_ELEMENTS
from uprung.models.matgl.card import CONVERTED, ELEMENTS, TRIPLET_CUTOFF
from uprung.models.torch_files import read_tensors, require_finite

with extra("matgl"), warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own dependencies
    from matgl.apps.pes import Potential as Stock
    from matgl.config import DEFAULT_ELEMENTS
    from matgl.models import M3GNet, TensorNet

CLASSES: dict[str, type[nn.Module]] = {"m3gnet": M3GNet, "tensornet": TensorNet}
#: Arguments of the published networks; what is not here has the default of matgl 4.1.
_COMMON: dict[str, Any] = {"is_intensive": False, "cutoff": 5.0}
_NEW: dict[str, dict[str, Any]] = {
    "m3gnet": {**_COMMON, "threebody_cutoff": TRIPLET_CUTOFF, "units": 128, "use_smooth": True},
    "tensornet": {**_COMMON, "units": 128, "nblocks": 2, "rbf_type": "SphericalBessel", "use_smooth": True},
}
_FIRST_M3GNET: dict[str, Any] = {**_COMMON, "threebody_cutoff": TRIPLET_CUTOFF, "units": 64, "use_smooth": False}
FOLDER = "UPRUNG_CHECKPOINTS"
#: Rows of matgl's arrays of elements, in the order of their atomic numbers.
ROWS = np.array(sorted(ELEMENTS))


class MatglNetwork(NamedTuple):
    """A network of matgl without what the `Potential` of uprung adds to it."""

    model: nn.Module
    scale: float  # `data_std`: what the network's energy is multiplied by
    references: NDArray[np.float64]  # (94,) eV/atom, 0 for elements that matgl does not know
    arguments: Mapping[str, Any]  # of the class of `model`


def new_network(card: ArchitectureCard, seed: int) -> MatglNetwork:
    """Return a network with random weights, fixed by the seed, the size of the MatPES ones, and references of zero."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return MatglNetwork(_model(card, _NEW[card.name]), 1.0, np.zeros(N_ELEMENTS), _NEW[card.name])


def published(card: ArchitectureCard, name: str) -> MatglNetwork:
    """Return a published checkpoint.

    Raises:
        ValueError: its folder is not here, or a file has another checksum than the known one.
    """
    path = _folder_of(Path(card.checkpoints[name].file).parent.name) / "state.pt"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != (wanted := card.checkpoints[name].sha256):
        raise ValueError(f"{path} has sha256 {found}, not {wanted} as published")
    state = read_tensors(path)
    if name.endswith(CONVERTED):
        convert(state)
    return _from_state(card, state, _FIRST_M3GNET if "-MP-" in name else _NEW[card.name], path)


def convert(state: dict[str, Any]) -> None:
    """Rewrite the weights of a TensorNet of matgl before 2.2 so that later versions compute the network as trained.

    The embedding of an atom is a sum over pairs of W(z_i, z_j)·(f₁ I + f₂ A + f₃ S), with A skew and S symmetric in the
    direction from i to j. It was summed at the second atom of every pair and is at the first now, so that the atoms
    change roles and A its sign. All that follows has been summed at the first atom in both.

    Args:
        state: dictionary of matgl's `Potential`, changed in place.
    """
    part = "model.tensor_embedding"
    first, second = state[f"{part}.emb2.weight"].chunk(2, dim=1)
    state[f"{part}.emb2.weight"] = torch.cat([second, first], dim=1)
    for kind in ("weight", "bias"):
        state[f"{part}.distance_proj2.{kind}"] = -state[f"{part}.distance_proj2.{kind}"]


def _folder_of(name: str) -> Path:
    """Return the folder of a published checkpoint; raises ValueError if it is not on this machine."""
    given = os.environ.get(FOLDER, "")
    if given and (Path(given) / name / "state.pt").is_file():
        return Path(given) / name
    from huggingface_hub import try_to_load_from_cache
    from matgl.config import MATGL_CACHE

    cached = try_to_load_from_cache(f"materialyze/{name}", "state.pt", cache_dir=str(MATGL_CACHE))
    if isinstance(cached, str):
        return Path(cached).parent
    where = f"is not in {given} ({FOLDER}), nor" if given else f"is not in a folder that {FOLDER} names, nor"
    raise ValueError(
        f"the checkpoint {name} {where} in matgl's cache; uprung downloads nothing while it runs. Fetch it once with "
        f"`python -c 'import matgl; matgl.load_model(\"{name}\")'`"
    )


def from_folder(card: ArchitectureCard, folder: Path) -> MatglNetwork:
    """Return the network of a folder that matgl wrote: `model.json` and `state.pt`; no pickle is read.

    Raises:
        ValueError: a file is missing or not what it should be, or the network is one that uprung does not compute.
    """
    known = described(folder)
    if known is None or known.get("@class") != card.title:
        raise ValueError(f"{folder} holds no {card.title} of matgl")
    arguments = dict(known["init_args"])
    if tuple(arguments.pop("element_types", DEFAULT_ELEMENTS)) != DEFAULT_ELEMENTS:
        raise ValueError(f"{folder}: its elements are not the 89 of matgl in their order")
    arguments.pop("dtype", None)
    return _from_state(card, read_tensors(folder / "state.pt"), arguments, folder)


def described(folder: Path) -> dict[str, Any] | None:
    """Return what `model.json` of a folder says of its network; None for any other folder."""
    try:
        content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        found = content["kwargs"]["model"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("init_args"), dict) else None


def _from_state(
    card: ArchitectureCard, state: dict[str, Any], arguments: Mapping[str, Any], path: Path
) -> MatglNetwork:
    """Build the network whose state dictionary matgl's `Potential` has saved."""
    own = {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}
    require_finite(state, path)
    if float(state.get("data_mean", 0.0)) != 0.0:
        raise ValueError(f"{path}: its energy has an offset per structure (data_mean), so it is not extensive")
    if any(name.startswith("repuls") for name in state):
        raise ValueError(f"{path}: its ZBL repulsion is not computed by uprung")
    offsets = state.get("element_refs.property_offset")
    references = np.zeros(N_ELEMENTS)
    if offsets is not None:
        references[ROWS - 1] = offsets.double().reshape(-1).numpy()
    model = _model(card, arguments)
    load_state(model, own, path)
    return MatglNetwork(model, float(state.get("data_std", 1.0)), references, dict(arguments))


def load_state(model: nn.Module, state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Give a network its weights; raises ValueError where they do not fit."""
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path} does not fit the installed matgl: {error}") from error


def _model(card: ArchitectureCard, arguments: Mapping[str, Any]) -> nn.Module:
    """Build a network; raises ValueError for one whose neighbourhood or number of blocks is not that of the card."""
    with _quiet():
        model: Any = CLASSES[card.name](element_types=DEFAULT_ELEMENTS, **arguments)
    found = {
        "cutoff": (float(model.cutoff), card.cutoff),
        "threebody_cutoff": (float(getattr(model, "threebody_cutoff", TRIPLET_CUTOFF)), TRIPLET_CUTOFF),
        "nblocks": (getattr(model, "n_blocks", getattr(model, "num_layers", 0)), card.blocks),
        "is_intensive": (model.is_intensive, False),
        "include_state": (model.include_state, False),
    }
    other = [f"{name}={value!r} (computed: {wanted!r})" for name, (value, wanted) in found.items() if value != wanted]
    if other:
        raise ValueError(f"this {card.title} has {', '.join(other)}")
    built: nn.Module = model
    return built


def from_saved(card: ArchitectureCard, saved: Mapping[str, Any], path: Path) -> MatglNetwork:
    """Return the network of a file that `saved_network` filled; raises ValueError if it does not fit."""
    try:
        arguments, scale = dict(saved["arguments"]), float(saved["scale"])
        references = saved["references"].double().numpy()
        model = _model(card, arguments)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no complete file of a {card.title}: {error!r}") from error
    require_finite(saved["state"] | {"references": saved["references"]}, path)
    load_state(model, saved["state"], path)
    return MatglNetwork(model, scale, references, arguments)


def saved_network(network: MatglNetwork) -> dict[str, Any]:
    """Return a network as tensors and plain values."""
    state = {name: value.detach().to("cpu").clone() for name, value in network.model.state_dict().items()}
    return {
        "arguments": dict(network.arguments),
        "scale": network.scale,
        "references": torch.from_numpy(network.references.copy()),
        "state": state,
    }


def export(network: MatglNetwork, folder: Path) -> None:
    """Write a folder that `matgl.load_model` reads."""
    with _quiet():
        stock = Stock(
            model=network.model.float(),
            data_std=network.scale,
            element_refs=torch.from_numpy(network.references[ROWS - 1].copy()),
        )
        stock.save(folder)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
