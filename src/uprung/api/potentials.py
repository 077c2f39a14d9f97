"""Potentials from Python: moved to a new functional, tested for softness, several as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from uprung.api.reading import Reading, read
from uprung.atomref.base import N_ELEMENTS, Bools
from uprung.atomref.fit import Estimator, Labelled, fit_reference
from uprung.atomref.references import Policy, ReferenceEnergies
from uprung.datasets.splits import Reach, exclusions
from uprung.frames.table import Frames
from uprung.models.committee import CommitteeCalculator
from uprung.models.referenced import ReferencedCalculator
from uprung.softening.slopes import POOLED, Forces, forces_of_frames, fraction_softened, softening_table

if TYPE_CHECKING:
    from uprung.datasets.store import Dataset
    from uprung.models.interface import Potential

Floats = NDArray[np.float64]
MODEL = "model.pth.tar"


@dataclass(frozen=True, repr=False)
class Rereferenced:
    """A potential with the reference energies of other labels.

    Attributes:
        model: the network, or the ASE calculator, with the new references.
        references: what was fitted; of a calculator, what every element adds to its energies.
        errors: mean absolute error of the energy of the fitted structures before and after, eV/atom; `left_out`: after,
            each structure predicted by the fit without it.
        left_out: structures that were not fitted, each with its reason.
    """

    model: Potential | Calculator
    references: ReferenceEnergies
    errors: dict[str, float]
    left_out: pd.DataFrame

    def calculator(self, device: str = "cpu") -> Calculator:
        """Return an ASE calculator."""
        if isinstance(self.model, Calculator):
            return self.model
        from uprung.models.calculator import PotentialCalculator  # imports torch

        return PotentialCalculator(self.model, device=device)

    def save(self, path: str | Path) -> None:
        """Write the network to a file that its own package loads, and `uprung` too.

        Raises:
            TypeError: the model is an ASE calculator, whose weights are not uprung's to write.
        """
        if isinstance(self.model, Calculator):
            raise TypeError(
                "an ASE calculator is not written to a file: keep `references.to_frame()`, and shift it again with "
                "uprung.models.referenced.ReferencedCalculator(calculator, references.values)"
            )
        self.model.save(path, target="target", source="source", corrects=None)

    def __repr__(self) -> str:
        """Return the errors and the references in a few lines."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"energy MAE of {self.errors['structures']:,.0f} structures, eV/atom:"
        yield f"  before {self.errors['before']:.4f}, after {self.errors['after']:.4f}, " + (
            f"left out of the fit one by one {self.errors['left_out']:.4f}"
        )
        yield repr(self.references)
        if len(self.left_out):
            yield f"not fitted: {len(self.left_out)} structures, first reason: {self.left_out['reason'].iloc[0]}"


def rereference(
    model: str | Path | Potential | Calculator,
    frames: Any,
    *,
    fidelity: str | None = None,
    unseen: Policy = "prior",
    estimator: str = "least-squares",
    strength: float | None = None,
    device: str = "cpu",
) -> Rereferenced:
    """Move a potential to the energies of another functional: its reference energies are fitted anew.

    The fit is that of `references: residual` in a study: what the network leaves of the labels, on composition. Forces
    and stresses stay as they are.

    Args:
        model: a shipped checkpoint (`chgnet-0.3.0`), the file of a network, a network, or any ASE calculator.
        frames: structures labelled with the other functional, whatever `uprung.read` takes. Some tens that have all
            elements are enough for a start.
        fidelity: which one of a network for several (`fidelities: joint`).
        unseen: what elements get that the structures do not determine: `prior` moves them as their neighbours in Z are
            moved, `source` leaves them, `error` refuses.
        estimator: `least-squares`, `ridge`, `huber` or `prior-ridge`.
        strength: of the ridges.
        device: where to predict.

    Raises:
        FramesError: see `uprung.read`.
        ValueError: no such network, no structure that it can compute, or an element without a value.
    """
    table = read(frames)
    energy = table.frames.label(table.energy)
    if isinstance(model, Calculator):
        rows, reasons = _usable(table, energy, None)
        structures = table.frames.take(rows)
        network, before = np.array([_of(model, one)[0] for one in atoms_of(structures)]), np.zeros(N_ELEMENTS)
        network /= structures.nsites
    else:
        potential = _network(model, fidelity)
        rows, reasons = _usable(table, energy, _reach(potential))
        structures = table.frames.take(rows)
        network = _predicted(potential, structures, energy[rows], ["energy"], device)["network"]
        before = potential.references
    own = Labelled.of(structures, table.energy)
    needed: Bools = np.asarray((own.X > 0).any(axis=0))
    known = needed if isinstance(model, Calculator) else needed | (before != 0)
    found, fit = fit_reference(
        "residual",
        target=own,
        source=own,
        needed=known if unseen != "error" else needed,
        residual=(network, before),
        policy=unseen,
        estimator=Estimator(estimator, strength),
    )
    values = np.where(np.isfinite(found.values), found.values, before)
    error = own.y - network - own.X @ values
    free = fit.leverage_ < 1 - 1e-8
    errors = {
        "structures": float(len(own.y)),
        "before": float(np.abs(own.y - network - own.X @ before).mean()),
        "after": float(np.abs(error).mean()),
        "left_out": float(np.abs(error[free] / (1 - fit.leverage_[free])).mean()) if free.any() else float("nan"),
    }
    if isinstance(model, Calculator):
        return Rereferenced(ReferencedCalculator(model, found.values), found, errors, reasons)
    potential.set_references(values, trainable=False)
    return Rereferenced(potential, found, errors, reasons)


@dataclass(frozen=True, repr=False)
class ForceSlopes:
    """How the forces of a potential compare with labelled ones.

    Attributes:
        table: slopes and errors of every material and of all, by size of the force (`uprung.softening.slopes`).
        share: share of the materials whose slope is below 1, with its 95 % interval.
        forces: labelled and predicted forces of every atom.
        left_out: structures without labels or that the potential cannot compute, each with its reason.
    """

    table: pd.DataFrame
    share: dict[str, float]
    forces: Forces
    left_out: pd.DataFrame

    @property
    def all(self) -> pd.Series:
        """The row of all materials."""
        whole = self.table[self.table["subset"] == "all"]
        return whole[whole["material"] == POOLED].iloc[0] if len(whole) > 1 else whole.iloc[0]

    def __repr__(self) -> str:
        """Return slope, multiplier and what they say."""
        row = self.all
        value = "{0:.3f} ({1:.3f} to {2:.3f})".format
        slope, factor = (
            value(*(row[f"{name}{end}"] for end in ("", "_low", "_high"))) for name in ("slope", "multiplier")
        )
        lines = [
            f"{row['n_frames']:,} structures of {row['n_materials']:,} materials, {len(self.forces.label):,} atoms",
            f"slope of predicted on labelled forces {slope}, MAE {row['mae']:.4f} eV/Å",
            f"forces fit best when multiplied by {factor}: {row['reading']}",
        ]
        if self.share["materials"] > 1:
            lines.append(f"{100 * self.share['share']:.0f} % of the materials have a slope below 1")
        if len(self.left_out):
            lines.append(f"left out: {len(self.left_out)} structures, first: {self.left_out['reason'].iloc[0]}")
        return "\n".join(lines)


def softening(
    model: str | Path | Potential | Calculator,
    frames: Any,
    *,
    fidelity: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
    device: str = "cpu",
) -> ForceSlopes:
    """Measure how soft the forces of a potential are: slopes of predicted on labelled forces.

    Args:
        model: any ASE calculator, a shipped checkpoint (`chgnet-0.3.0`), the file of a network, or a network.
        frames: structures with forces, whatever `uprung.read` takes; away from equilibrium, where forces are large.
        fidelity: which one of a network for several (`fidelities: joint`).
        resamples: of the bootstrap behind the intervals.
        seed: of the bootstrap.
        device: where to predict.

    Raises:
        FramesError: see `uprung.read`.
        ValueError: no such network, or no structure with forces that it can compute.
    """
    table = read(frames)
    energy = table.frames.label(table.energy)
    if isinstance(model, Calculator):
        rows, reasons = _usable(table, energy, None, forces=True)
        structures = table.frames.take(rows)
        predicted = np.concatenate([_of(model, one)[1] for one in atoms_of(structures)])
    else:
        potential = _network(model, fidelity)
        rows, reasons = _usable(table, energy, _reach(potential), forces=True)
        structures = table.frames.take(rows)
        predicted = _predicted(potential, structures, energy[rows], ["force"], device)["force"]
    label = structures.flat("forces", 3).reshape(-1, 3).astype(np.float32)
    forces, _ = forces_of_frames(structures, label, predicted)
    slopes = softening_table(forces, resamples=resamples, seed=seed)
    return ForceSlopes(slopes, fraction_softened(slopes, resamples=resamples, seed=seed), forces, reasons)


def committee(
    runs: str | Path | Sequence[str | Path | Calculator], *, fidelity: str | None = None, device: str = "cpu"
) -> CommitteeCalculator:
    """Return the mean and the spread of several networks as an ASE calculator.

    Args:
        runs: a folder with the runs of several seeds below it (`results/mine/runs/steps2000/transfer/nall`), or a list
            of runs, files of networks, shipped checkpoints or ASE calculators.
        fidelity: which one of networks for several (`fidelities: joint`).
        device: where to compute.

    Raises:
        ValueError: fewer than two members, or no such network.
    """
    from uprung.models.calculator import calculator  # imports torch

    given = sorted(Path(runs).glob(f"**/{MODEL}")) if isinstance(runs, str | Path) else list(runs)
    if not given:
        raise ValueError(f"{runs}: no run below this folder (no file {MODEL}); name one, or a list of runs")
    members = [
        one if isinstance(one, Calculator) else calculator(_file_of(one), fidelity=fidelity, device=device)
        for one in given
    ]
    return CommitteeCalculator(members)


def _file_of(run: str | Path) -> str | Path:
    """Return the network of a run's folder; a file or a name stays as it is."""
    return Path(run) / MODEL if (Path(run) / MODEL).is_file() else run


def _network(model: str | Path | Potential, fidelity: str | None) -> Potential:
    from uprung.models.registry import load  # imports torch

    return load(_file_of(model), fidelity) if isinstance(model, str | Path) else model


def _reach(potential: Potential) -> Reach:
    unknown = sorted({*range(1, N_ELEMENTS + 1)} - potential.card.elements)
    return Reach(potential.card.cutoff, unknown)


def _usable(
    table: Reading, energy: Floats, reach: Reach | None, *, forces: bool = False
) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Return the rows that can be computed and have their label, and the others with their reasons.

    Args:
        table: the structures.
        energy: (n,) energy label, eV per cell.
        reach: what the network can compute; None for a calculator, which says itself what it cannot.
        forces: whether forces are the label, and not energies.

    Raises:
        ValueError: none can.
    """
    reasons = np.full(len(table), "", dtype=object)
    if reach is not None:
        reasons = exclusions(table.frames, np.zeros_like(energy), reach=reach)
    labelled = np.isfinite(energy)
    if forces:
        labelled = np.logical_and.reduceat(np.isfinite(table.frames.flat("forces", 3)), 3 * table.frames.offsets[:-1])
    reasons[~labelled] = "no forces" if forces else "no energy label"
    left_out = pd.DataFrame({"frame_id": table.frames.strings("frame_id"), "reason": reasons})
    rows = np.flatnonzero(reasons == "")
    if not len(rows):
        raise ValueError(f"{table.name}: none of {len(table)} structures can be used: {reasons[0]}")
    return rows, left_out[reasons != ""].reset_index(drop=True)


def _predicted(
    potential: Potential, frames: Frames, energy: Floats, targets: Sequence[str], device: str
) -> dict[str, Floats]:
    """Return the predictions of a network for structures in memory."""
    from uprung.models.data import dataset_of
    from uprung.models.predict import predict

    dataset: Dataset = dataset_of(frames, energy, name=potential.card.name)
    return predict(potential, dataset, np.arange(len(frames)), targets=targets, device=device)


def atoms_of(frames: Frames) -> Iterator[Any]:
    """Yield the structures of a table as ASE atoms, periodic in three directions."""
    import ase

    cut = frames.offsets[1:-1]
    fracs = np.split(frames.flat("frac", 3).reshape(-1, 3), cut)
    lattices = frames.flat("lattice").reshape(-1, 3, 3)
    for numbers, frac, lattice in zip(np.split(frames.numbers(), cut), fracs, lattices, strict=True):
        yield ase.Atoms(numbers, cell=lattice, scaled_positions=frac, pbc=True)


def _of(model: Calculator, atoms: Any) -> tuple[float, Floats]:
    atoms.calc = model
    return float(atoms.get_potential_energy()), np.asarray(atoms.get_forces(), dtype=np.float64)
