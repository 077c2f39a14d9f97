"""States of high energy: molecular dynamics of crystals with a potential, some of the frames strained.

The protocol is that of Deng et al., npj Comput. Mater. 11, 9 (2025): NVT at 1000 K for 20 ps, ten frames of each
structure, four of them strained by ±3 % along the three lattice vectors. The frames are to be labelled by DFT. They
are sampled with one of the models that are to be judged, which favours states that this model finds low in energy.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase import units
from ase.calculators.calculator import Calculator
from ase.constraints import FixCom
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.neighborlist import neighbor_list
from numpy.random import RandomState

from uprung.dft.structures import Structure
from uprung.job.files import file_name, write_json, write_whole
from uprung.job.sealed import seal, unseal
from uprung.sources.vasprun import STATE_FILE, STATE_NAMES

LOG = logging.getLogger(__name__)
#: A run is over when an atom feels more than this (eV/Å) or comes nearer to another than this (Å).
LARGEST_FORCE = 100.0
SHORTEST_DISTANCE = 0.6
FRICTION = 0.01 / units.fs


@dataclass(frozen=True)
class Protocol:
    """How states are sampled. temperature (K), length (ps), timestep (fs), frames per structure, how many of them are
    strained, and by how much along every lattice vector (0.03 = 3 %)."""

    temperature: float = 1000.0
    length: float = 20.0
    timestep: float = 2.0
    frames: int = 10
    strained: int = 4
    strain: float = 0.03

    def __post_init__(self) -> None:
        """Raise ValueError where the numbers contradict each other."""
        if self.strained > self.frames:
            raise ValueError(f"strained: {self.strained} of {self.frames} frames cannot be strained")
        if self.frames > self.steps:
            raise ValueError(f"frames: {self.frames} frames need as many steps, there are {self.steps}")

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return round(1000 * self.length / self.timestep)


class UnstableError(RuntimeError):
    """The run left the range of what any potential is made for; the message says when and how."""


def sample_states(atoms: ase.Atoms, calculator: Calculator, protocol: Protocol, *, seed: int) -> Iterator[ase.Atoms]:
    """Yield frames of an NVT run (Langevin), at equal times, each when it is reached.

    Args:
        atoms: a crystal, periodic in three directions; not changed.
        calculator: energies and forces.
        protocol: how long, how hot, how many.
        seed: of velocities, thermostat and the choice of strained frames.

    Yields:
        Copies without calculator; info: `step`, `time_ps`, `strain` (relative change of every lattice vector; the atoms
        move with the cell).

    Raises:
        ValueError: a structure that is not periodic.
        UnstableError: see `LARGEST_FORCE`, `SHORTEST_DISTANCE`. Frames before it were yielded.
    """
    if not atoms.pbc.all():
        raise ValueError(f"{atoms.get_chemical_formula()}: states are sampled of structures periodic in 3 directions")
    moving = atoms.copy()
    moving.calc = calculator
    random = RandomState(seed)
    # twice the kinetic energy: half of it goes into the potential energy of a crystal that starts at its minimum
    MaxwellBoltzmannDistribution(moving, temperature_K=2 * protocol.temperature, rng=random)
    Stationary(moving)
    moving.set_constraint(FixCom())  # Langevin's own way is no NVT ensemble, which shows in small cells
    run = Langevin(
        moving,
        timestep=protocol.timestep * units.fs,
        temperature_K=protocol.temperature,
        friction=FRICTION,
        fixcm=False,
        rng=random,
    )
    strains = strain_of_frames(protocol, seed)
    done = 0
    for k, strain in enumerate(strains, start=1):
        target = k * protocol.steps // protocol.frames
        for _ in range(target - done):
            run.run(1)
            done += 1
            _check(moving, done, protocol)
        yield _frame(moving, done, protocol, strain)


def sample_all(
    structures: Iterable[Structure], calculator: Calculator, protocol: Protocol, *, seed: int, state: Path
) -> Iterator[tuple[Structure, list[ase.Atoms], str]]:
    """Yield each structure with its frames, from the state where a run was finished before, and why it ended early.

    Frames are named: info has `frame_id` (`<structure>-<k>`), `material_id` and `trajectory` (the structure).

    Args:
        structures: crystals.
        calculator: energies and forces.
        protocol: see `sample_states`.
        seed: together with the name of a structure it decides its run, whatever others there are.
        state: folder that keeps finished runs of this protocol; a run that was killed begins anew.
    """
    state.mkdir(parents=True, exist_ok=True)
    for structure in structures:
        decides = repr((structure.name, _geometry(structure.atoms), protocol, seed))
        key = hashlib.sha256(decides.encode()).hexdigest()[:24]
        file = state / f"{key}.json"
        stored = _kept(file)
        if stored is None:
            frames, reason = _sampled(structure, calculator, protocol, int(key[:8], 16))
            write_whole(file, seal({"reason": reason, "frames": [_plain(frame) for frame in frames]}).encode())
            stored = unseal(file.read_bytes())
        yield structure, [_frame_of(entry) for entry in stored["frames"]], stored["reason"]


def _kept(file: Path) -> dict[str, Any] | None:
    """Return a run that was finished before, None where there is none or its file is damaged."""
    try:
        return dict(unseal(file.read_bytes()))
    except FileNotFoundError:
        return None
    except ValueError as error:
        LOG.warning("%s is sampled again: %s", file, error)
        return None


def _sampled(
    structure: Structure, calculator: Calculator, protocol: Protocol, seed: int
) -> tuple[list[ase.Atoms], str]:
    frames: list[ase.Atoms] = []
    try:
        for k, frame in enumerate(sample_states(structure.atoms, calculator, protocol, seed=seed)):
            frame.info |= {"frame_id": f"{structure.name}-{k:02d}", "material_id": structure.material}
            frame.info["trajectory"] = structure.name
            frames.append(frame)
    except UnstableError as error:
        return frames, f"given up: {error}"
    return frames, ""


def _geometry(atoms: ase.Atoms) -> tuple[object, ...]:
    return atoms.numbers.tolist(), atoms.cell.array.tolist(), atoms.positions.tolist()


def _plain(frame: ase.Atoms) -> dict[str, object]:
    numbers, cell, positions = _geometry(frame)
    return {"numbers": numbers, "cell": cell, "positions": positions, "info": frame.info}


def _frame_of(entry: dict[str, Any]) -> ase.Atoms:
    return ase.Atoms(entry["numbers"], positions=entry["positions"], cell=entry["cell"], pbc=True, info=entry["info"])


def write_vasp_inputs(frames: Iterable[ase.Atoms], folder: Path, functional: str) -> None:
    """Write inputs of a static calculation for every frame, in a folder of its name (POTCAR.spec stands for POTCAR).

    They are those of the Materials Project: `MPStaticSet` for PBE (with U), `MPScanStaticSet` for r2SCAN. Beside them
    `uprung-state.json` says of which crystal and which run it is; the reader of VASP runs takes these names from it.

    Args:
        frames: with `frame_id`, `material_id` and `trajectory` in their info; a frame_id that a folder cannot have is
            spelt with %XX.
        folder: where the folders are made.
        functional: `PBE` or `r2SCAN`.
    """
    from pymatgen.io.ase import AseAtomsAdaptor
    from pymatgen.io.vasp.sets import MPScanStaticSet, MPStaticSet

    make = {"PBE": MPStaticSet, "r2SCAN": MPScanStaticSet}[functional]
    for frame in frames:
        bare = ase.Atoms(frame.numbers, positions=frame.positions, cell=frame.cell, pbc=True)
        structure = AseAtomsAdaptor.get_structure(bare)
        own = folder / file_name(str(frame.info["frame_id"]))
        make(structure).write_input(str(own), potcar_spec=True)
        write_json(own / STATE_FILE, {name: str(frame.info[name]) for name in STATE_NAMES})


def strain_of_frames(protocol: Protocol, seed: int) -> list[float]:
    """Return the strain of every frame: `strained` of them by turns +strain and −strain, drawn by seed, others 0."""
    strains = np.zeros(protocol.frames)
    chosen = np.random.default_rng(seed).permutation(protocol.frames)[: protocol.strained]
    strains[chosen] = protocol.strain * np.where(np.arange(protocol.strained) % 2 == 0, 1, -1)
    return [float(value) for value in strains]


def _frame(moving: ase.Atoms, step: int, protocol: Protocol, strain: float) -> ase.Atoms:
    frame = ase.Atoms(moving.numbers, positions=moving.positions, cell=moving.cell, pbc=True)
    frame.wrap()
    frame.set_cell(frame.cell.array * (1 + strain), scale_atoms=True)
    frame.info |= {"step": step, "time_ps": step * protocol.timestep / 1000, "strain": strain}
    return frame


def _check(moving: ase.Atoms, step: int, protocol: Protocol) -> None:
    """Raise UnstableError on forces or distances that no sensible state has."""
    when = f"after {step * protocol.timestep / 1000:g} ps"
    largest = float(np.linalg.norm(moving.get_forces(), axis=1).max())
    if not largest <= LARGEST_FORCE:
        raise UnstableError(f"a force of {largest:.3g} eV/Å {when}")
    if step % 10 == 0:
        near = neighbor_list("d", moving, SHORTEST_DISTANCE)
        if len(near):
            raise UnstableError(f"atoms {near.min():.2f} Å apart {when}")
