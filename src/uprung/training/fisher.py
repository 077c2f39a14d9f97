"""Elastic weight consolidation: how firmly each weight of a pretrained network is held while it is fine-tuned.

Kirkpatrick et al., PNAS 114, 3521 (2017): the loss gets λ/2·Σ_i F_i·(w_i − w₀_i)², with the diagonal F of the Fisher
information of the pretrained network on structures that it was trained for. Under the Gaussian likelihood of which the
quadratic part of the training loss is the negative logarithm, a prediction y_k of target t has the precision w_t/n_t
(its weight in the loss over the number of such labels of the structure), and

    F_i = mean over structures of Σ_k (w_t/n_t)·(∂y_k/∂w_i)².

The sum over k is the expectation of (∂/∂w_i Σ_k s_k·√(w_t/n_t)·y_k)² over random signs s_k (Hutchinson 1989), so that
one backward pass per structure gives an estimate without bias; where a structure has one prediction it is exact. The
Fisher information is that of predictions: no label takes part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from uprung.config.arms import Ewc
from uprung.datasets.store import Dataset, Rows
from uprung.job.logs import progress
from uprung.models.interface import REFERENCES, Potential, require_architecture
from uprung.models.torch_files import read_tensors, write_tensors

#: Name of a parameter -> what holds each of its weights, in float64.
Importance = Mapping[str, Tensor]


@dataclass(frozen=True)
class Elastic:
    """The pull of an arm: its strength λ, and the Fisher information of every weight."""

    strength: float
    importance: Importance

    @property
    def digest(self) -> str:
        """Return what tells this pull from others."""
        return f"{self.strength!r} {importance_digest(self.importance)}"


def drawn(rows: Rows, count: int, seed: int) -> Rows:
    """Return some structures, in an order that the seed decides; all of them where there are fewer."""
    return rows.take(np.random.default_rng(seed).permutation(len(rows.rows))[:count])


def fisher_diagonal(
    potential: Potential,
    frames: Rows,
    *,
    targets: Sequence[str],
    weights: Mapping[str, float],
    seed: int,
    device: str = "cpu",
    threads: int = 1,
) -> Importance:
    """Return the diagonal of the Fisher information of a network, reference energies left out.

    Args:
        potential: the pretrained network; left on the device and in training mode.
        frames: structures; their labels are not read.
        targets: predictions that take part.
        weights: of the targets in the loss.
        seed: of the random signs; those of a structure depend on its place alone.
        device: where it is computed.
        threads: structures at once; the result does not depend on it.

    Raises:
        ValueError: no structure, or a network of another architecture than the inputs.
        OutOfMemoryError: a single structure does not fit into memory.
    """
    if not len(frames.rows):
        raise ValueError("`ewc` found no source structure of a training material; use more data")
    require_architecture(potential, str(frames.dataset.manifest.get("architecture", potential.card.name)))
    potential.to(device).train()
    names, parameters = zip(*network_parameters(potential), strict=True)
    for parameter in parameters:
        parameter.requires_grad_(True)
    sums = [torch.zeros_like(p, dtype=torch.float64) for p in parameters]

    def gradient(place: int) -> tuple[Tensor | None, ...]:
        total = _signed_sum(potential, frames.dataset, frames.rows[[place]], targets, weights, [seed, place])
        return torch.autograd.grad(total, parameters, allow_unused=True)

    places = range(len(frames.rows))
    with ThreadPoolExecutor(threads) as pool, progress(len(places), "Fisher information", "structure") as bar:
        for gradients in _in_order(pool, gradient, places, threads):
            for known, found in zip(sums, gradients, strict=True):
                if found is not None:
                    known += found.double().square()
            bar.update()
    return {name: (known / len(places)).cpu() for name, known in zip(names, sums, strict=True)}


def _in_order(
    pool: ThreadPoolExecutor, function: object, places: range, threads: int
) -> Iterator[tuple[Tensor | None, ...]]:
    """Yield results in the order of the places, a few at once, so that few gradients are kept."""
    for start in range(0, len(places), threads):
        yield from pool.map(function, places[start : start + threads])  # type: ignore[arg-type]


def _signed_sum(
    potential: Potential,
    dataset: Dataset,
    row: np.ndarray,
    targets: Sequence[str],
    weights: Mapping[str, float],
    seed: Sequence[int],
) -> Tensor:
    """Return Σ_k s_k·√(w_t/n_t)·y_k over the predictions of a structure, with random signs s_k."""
    rng = np.random.default_rng(seed)
    found = potential(potential.batch(dataset.inputs, row), targets)
    terms = []
    for target in targets:
        values = found[target].reshape(-1)
        signs = torch.from_numpy(rng.choice([-1.0, 1.0], size=len(values))).to(values)
        terms.append(np.sqrt(weights[target] / len(values)) * (signs * values).sum())
    return torch.stack(terms).sum()


def network_parameters(potential: Potential) -> list[tuple[str, nn.Parameter]]:
    """Return the parameters of the network by name, without its reference energies."""
    references = {id(p) for p in potential.layers()[REFERENCES]}
    network = {id(p) for parameters in potential.layers().values() for p in parameters} - references
    return [(name, p) for name, p in potential.named_parameters() if id(p) in network]


def importance_digest(importance: Importance) -> str:
    """Return the SHA-256 of names and values."""
    digest = hashlib.sha256()
    for name in sorted(importance):
        values = importance[name].detach().cpu().double().contiguous().numpy()
        digest.update(f"{name} {values.shape}".encode() + values.tobytes())
    return digest.hexdigest()


def save_importance(path: str | Path, importance: Importance) -> None:
    """Write an importance; raises OSError when it cannot be written."""
    write_tensors(path, {"importance": dict(importance)})


def read_importance(path: str | Path) -> Importance:
    """Return a saved importance; raises ValueError for a damaged file or one of something else."""
    found = read_tensors(Path(path)).get("importance")
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no Fisher information")
    return found


def elastic_of(options: Ewc | None, files: Sequence[str]) -> Elastic | None:
    """Return the pull of an arm from the file of its importance; None for an arm without."""
    return None if options is None else Elastic(options.strength, read_importance(files[0]))


class ElasticPull:
    """λ/2·Σ_i F_i·(w_i − w₀_i)², as its gradient: a pull of the trainable weights towards where they began."""

    def __init__(self, potential: Potential, elastic: Elastic | None) -> None:
        """Remember the weights as they are; None pulls nothing. Weights that the pretrained network lacks are free.

        Raises:
            ValueError: the importance is of another network.
        """
        self.pairs: list[tuple[nn.Parameter, Tensor, Tensor]] = []
        own = dict(network_parameters(potential)) if elastic is not None else {}
        for name, importance in elastic.importance.items() if elastic is not None else ():
            if name not in own or own[name].shape != importance.shape:
                raise ValueError(
                    f"the Fisher information has {name} {tuple(importance.shape)}, which the network lacks"
                )
            if own[name].requires_grad and elastic is not None:
                stiffness = (elastic.strength * importance.double()).to(own[name])
                self.pairs.append((own[name], own[name].detach().clone(), stiffness))

    def add_gradient(self) -> None:
        """Add λ·F·(w − w₀) to the gradients; a weight without one gets it."""
        for p, start, stiffness in self.pairs:
            gap = (p.detach() - start) * stiffness
            p.grad = gap if p.grad is None else p.grad.add_(gap)
