"""The door to an architecture: what the rest of the house may ask of a network and of the code behind it.

An architecture is a folder of `uprung.models` with a card of facts (`uprung.models.cards`) and an `Architecture`; it is
entered in `uprung.models.registry` and passes the contract test (tests/unit/models/test_contract.py). What it cannot do
it does not claim on its card, and study files that ask for it are refused before any job.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from uprung.datasets.store import Inputs, Side
from uprung.job.allocation import keep_freed_memory
from uprung.job.provenance import versions
from uprung.models.cards import ArchitectureCard

N_ELEMENTS = 94
#: Names of the layers that every network has; between them come `block1`, `block2`, ...
REFERENCES, EMBEDDINGS, READOUT = "references", "embeddings", "readout"


class Geometry(NamedTuple):
    """A crystal without labels."""

    numbers: NDArray[np.integer[Any]]  # (N,)
    frac: NDArray[np.float64]  # (N, 3), not necessarily in [0, 1)
    lattice: NDArray[np.float64]  # (3, 3) rows, Å


class FixedShapes(Protocol):
    """Filling batches up to a few shapes with structures that change no number of the real ones, which come first."""

    def sizes_at(self, inputs: Any, rows: NDArray[np.int64]) -> Any:
        """Return what a batch of these rows has: `structures`, `atoms` and whatever else decides its shape."""

    def size_classes(self, batches: Sequence[Any], count: int) -> list[Any]:
        """Return at most about so many sizes that batches are filled up to, the smallest first."""

    def fitting(self, sizes: Any, classes: Sequence[Any]) -> Any | None:
        """Return the first class that a batch can be filled up to; None where it is larger than all."""

    def padded(self, batch: Any, sizes: Any) -> Any:
        """Return a batch, a data class of tensors, filled up to a class."""


class Potential(nn.Module, ABC):
    """A network that predicts energies, forces, stresses and perhaps magnetic moments of crystals.

    In training mode derivatives reach the parameters through forces and stresses as well. Device and precision are
    those of its parameters.
    """

    card: ArchitectureCard
    #: Device -> cost of what is computed at once, in the unit of `Inputs.costs`: predicted, and trained on.
    predicted_at_once: Mapping[str, int]
    trained_at_once: Mapping[str, int]
    #: How batches get fixed shapes, for CUDA graphs; None where they cannot.
    shapes: FixedShapes | None = None

    def __init__(self) -> None:
        """Make an empty network; the memory that its steps free stays with the process."""
        super().__init__()
        keep_freed_memory()

    @property
    def elements(self) -> frozenset[int]:
        """Atomic numbers that this network knows."""
        return self.card.elements

    @property
    def versions(self) -> dict[str, str]:
        """Versions of what decides its numbers: packages, and kernels that were compiled on this machine."""
        return versions(*self.card.packages)

    @abstractmethod
    def batch(self, inputs: Inputs, rows: NDArray[np.int64]) -> Any:
        """Return some structures as one batch, on the device and in the precision of the network."""

    @abstractmethod
    def forward(self, batch: Any, targets: Collection[str], side: Side = "target") -> dict[str, Tensor]:
        """Predict a batch of B structures with A atoms.

        Args:
            batch: of `batch`.
            targets: what to predict.
            side: `source` for the other fidelity of a network that has two (`add_source`).

        Returns:
            Always `energy` (B,) eV/atom and `network` (B,) eV/atom without the reference energies; if they are targets
            `force` (A, 3) eV/Å, `stress` (B, 3, 3) GPa with tension positive, `magmom` (A,) |μB|.

        Raises:
            ValueError: frames of the source, for which this network has nothing.
        """

    @property
    @abstractmethod
    def references(self) -> NDArray[np.float64]:
        """Elemental reference energies, (94,) in eV/atom, index Z − 1."""

    @abstractmethod
    def set_references(self, values: NDArray[np.float64], *, trainable: bool) -> None:
        """Replace the reference energies.

        Args:
            values: (94,) eV/atom, index Z − 1.
            trainable: whether training changes them.

        Raises:
            ValueError: another shape, or values that are not finite.
        """

    @abstractmethod
    def layers(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Return all parameters of the network by layer: references, embeddings, block1, ..., readout."""

    @abstractmethod
    def zero_output(self) -> None:
        """Set the last linear layer to zero, so that the network adds nothing to its reference energies."""

    def add_source(self, references: NDArray[np.float64], *, embedding: bool) -> None:
        """Give the network a second fidelity.

        Args:
            references: (94,) eV/atom of the source.
            embedding: whether a trainable offset of the atom embedding tells the fidelities apart; it begins at zero.

        Raises:
            NotImplementedError: the card claims neither `replay` nor `joint`.
        """
        raise NotImplementedError(f"{self.card.title} has one fidelity")

    def forces_by_element(self, batch: Any) -> list[tuple[Tensor, Tensor]]:
        """Return forces by the element of the atoms whose energies they are gradients of.

        Returns:
            Entries that add up to the forces: (B,) atomic numbers, 0 for a structure without a part in this entry,
            and (A, 3) forces in eV/Å, detached.

        Raises:
            NotImplementedError: the card does not claim `forces-by-element`.
        """
        raise NotImplementedError(f"{self.card.title} has no forces by element")

    @abstractmethod
    def save(self, path: str | Path, *, target: str, source: str, corrects: str | None) -> None:
        """Write the network to a file that its own package loads.

        A network of two fidelities loads there as that of the target; a correction does not, since it means nothing
        alone. `Architecture.load` reads them all.

        Args:
            path: replaced when the file is complete.
            target: name of the target fidelity.
            source: name of the source fidelity.
            corrects: shipped checkpoint that a Δ-learning network is added to; None for any other.
        """


class Architecture(Protocol):
    """The code behind a card."""

    card: ArchitectureCard

    def new(self, seed: int) -> Potential:
        """Return a network with random weights, fixed by the seed; the global random state stays as it was."""

    def load(self, name_or_path: str | Path, fidelity: str | None = None) -> Potential:
        """Return a shipped checkpoint or a saved network; see `uprung.models.registry.load`."""

    def reads(self, path: Path) -> bool:
        """Return whether a file looks like a network of this architecture."""

    def write_inputs(
        self,
        names: Sequence[str],
        geometries: Sequence[Geometry],
        folder: Path,
        *,
        processes: int = 1,
        progress: Callable[[int], object] | None = None,
    ) -> dict[str, Any]:
        """Compute what the network reads of many structures and store it for `open_inputs`.

        Returns:
            The manifest: checksums of every file, and `rejected`, a list of [name, reason] of the structures that have
            no row.
        """

    def open_inputs(self, folder: Path, manifest: Mapping[str, Any]) -> Inputs:
        """Map stored inputs into memory, read-only.

        Args:
            folder: of `write_inputs`.
            manifest: that it returned.

        Raises:
            DamagedError: a file is not what it was; what is read in parts may be checked when it is read.
        """

    def inputs_of(self, geometries: Sequence[Geometry]) -> Inputs:
        """Return the inputs of a few structures in memory; raises ValueError for one that has none."""


def check_references(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return reference energies as (94,) float64; raises ValueError for another shape or values that are not finite."""
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (N_ELEMENTS,):
        raise ValueError(f"reference energies must have shape ({N_ELEMENTS},), not {values.shape}")
    if not np.isfinite(values).all():
        unknown = (np.flatnonzero(~np.isfinite(values)) + 1).tolist()
        raise ValueError(f"reference energies must be finite; they are not for Z = {unknown}")
    return values


def require_architecture(potential: Potential, name: str) -> None:
    """Raise ValueError for a network of another architecture than the inputs that it is to read."""
    if potential.card.name != name:
        raise ValueError(
            f"the network is of {potential.card.title}, but the inputs are those of {name}: a file under `checkpoints` "
            "has to say its own architecture"
        )


def refuse_fidelity(fidelity: str | None, what: str | Path) -> None:
    """Raise ValueError for a fidelity asked of a network that has one and does not name it."""
    if fidelity is not None:
        raise ValueError(f"{what} predicts one fidelity, which it does not name; leave out fidelity={fidelity!r}")
