"""VASP runs: one vasprun.xml, plain or compressed, or a folder with any number of them below it.

Every ionic step becomes a frame. `energy_free` is e_fr_energy, of which the forces are gradients; `energy` is E0
(σ→0). VASP 5 writes a wrong e_0_energy for ionic steps, so E0 is e_fr plus the difference e_0 − e_fr of the last
electronic step, and the provenance says where that changed it. Stress is kbar, compression positive, in the file.
vasprun.xml holds no site moments.

Which crystal a run is of, and which simulation its structure is from, stands in `uprung-state.json` beside it where
uprung wrote the inputs. Else its material is its formula and all its steps are one trajectory.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET  # noqa: TID251 - no document type gets this far, so no entities
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from uprung.frames.schema import Floats, Frame, FramesError, Rejected
from uprung.sources.common import KBAR_TO_GPA, UnusableError, formula_of
from uprung.sources.files import Advance, Ending, expect, files_in, open_bytes, unheard
from uprung.sources.settings import Settings
from uprung.sources.vasp_atoms import Atoms
from uprung.sources.vasp_settings import Input, check, functional_of

E0_TOLERANCE = 1e-5  # eV
NELM = "60"  # VASP's default
#: Beside a vasprun.xml, a JSON object of these names; other programs have a `state.json` of their own.
STATE_FILE = "uprung-state.json"
STATE_NAMES = ("material_id", "trajectory")


def files(path: Path) -> list[Path]:
    """Return the files of a source: the runs, and what stands beside them.

    Raises:
        FramesError: there is no run in the folder.
    """
    found = runs(path)
    beside = [folder / STATE_FILE for folder in dict.fromkeys(file.parent for file in found)]
    return [*found, *(file for file in beside if file.is_file())]


def runs(path: Path) -> list[Path]:
    """Return the files vasprun.xml of a source, in the order in which they are read."""
    return files_in(path, "**/vasprun*.xml*", "no file vasprun*.xml* in or below this folder")


def read(
    path: Path, functional: str, label_scale: str, *, settings: Settings | None = None, advance: Advance = unheard
) -> Iterator[Frame | Rejected]:
    """Yield the ionic steps of VASP runs; runs in the order of their paths.

    Args:
        path: a vasprun.xml, or a folder with files `vasprun*.xml*` at any depth.
        functional: runs of another functional are rejected.
        label_scale: what the runs have in common.
        settings: those of the fidelity's runs so far. The first run decides, and later runs that contradict it are
            rejected, unless the study states their values (see `uprung.sources.vasp_settings`).
        advance: is told how many bytes of the files have been read.

    Raises:
        FramesError: no such file in the folder, or a single file that is no vasprun.xml.
    """
    settings = settings or Settings()
    for file in runs(path):
        run = _Run(file, _name(file, path), functional, label_scale, settings, advance)
        try:
            expect(file, "a vasprun.xml", "a vasprun.xml of VASP, plain or compressed")
            yield from run.steps()
        except FramesError as error:
            if not path.is_dir():
                raise
            yield Rejected(run.name, str(error).removeprefix(f"{file}: "))


def functional_told(path: Path) -> str | None:
    """Return the functional of the first run that says it, None where none can be read."""
    for file in runs(path):
        run = _Run(file, _name(file, path), "", "", Settings(), unheard)
        try:
            if found := run.functional_told():
                return found
        except (FramesError, UnusableError, ET.ParseError):
            continue
    return None


def _name(file: Path, root: Path) -> str:
    """Return how frames of a file are named: its place below the folder, without what every run has."""
    inside = file.relative_to(root) if root.is_dir() else Path(file.name)
    stem = re.sub(r"\.xml(\.\w+)?$", "", inside.name).removeprefix("vasprun").lstrip("._-")
    return "/".join([*inside.parent.parts, *([stem] if stem else [])]) or "vasprun"


@dataclass
class _Run:
    file: Path
    name: str
    functional: str
    label_scale: str
    settings: Settings
    advance: Advance
    told: Input = field(default_factory=Input)
    atoms: Atoms = field(default_factory=Atoms)
    Z: list[int] = field(default_factory=list)
    stated: dict[str, str] = field(default_factory=dict)  # of STATE_FILE

    def steps(self) -> Iterator[Frame | Rejected]:
        """Yield the complete ionic steps; a run that breaks off is listed after them."""
        done, fit = 0, False
        try:
            with open_bytes(self.file, self.advance) as stream:
                for element in _elements(stream):
                    if element.tag == "calculation":
                        if not fit:
                            self._check()
                            fit = True
                        yield self._step(element, done)
                        done += 1
                    else:
                        self._header(element)
        except ET.ParseError as error:
            yield Rejected(self.name, f"the XML is cut off or damaged after {done} complete ionic steps: {error}")
        except UnusableError as error:
            yield Rejected(self.name, str(error))
        else:
            if not done:
                yield Rejected(self.name, "the run has no ionic step")

    def functional_told(self) -> str | None:
        """Return the functional that the head of the run says, None where it has no ionic step."""
        with open_bytes(self.file) as stream:
            for element in _elements(stream):
                if element.tag == "calculation":
                    self.Z, self.told.types = self.atoms.elements()
                    return functional_of(self.told)
                self._header(element)
        return None

    def _header(self, element: ET.Element) -> None:
        if element.tag == "atominfo":
            self.atoms = Atoms.of(element)
        else:
            values = self.told.incar if element.tag == "incar" else self.told.parameters
            for item in element.iter():
                if item.tag in ("i", "v"):
                    values.setdefault(str(item.get("name")).upper(), (item.text or "").strip())

    def _check(self) -> None:
        """Raise UnusableError if the run as a whole cannot be used."""
        self.Z, self.told.types = self.atoms.elements()
        self.told.valence = self.atoms.valence()
        self.told.elements = [chemical_symbols[z] for z in self.Z]
        self.stated = _stated(self.file.with_name(STATE_FILE))
        check(self.told, self.functional, self.settings)

    def _step(self, element: ET.Element, number: int) -> Frame | Rejected:
        name = f"{self.name}-{number}"
        try:
            return self._frame(element, name, number)
        except (UnusableError, ValueError) as error:
            return Rejected(name, str(error))

    def _frame(self, step: ET.Element, name: str, number: int) -> Frame:
        electronic = step.findall("scstep")
        nelm = int(self.told.number("NELM", NELM))
        if nelm and len(electronic) >= nelm:
            raise UnusableError(f"not converged: {len(electronic)} electronic steps reach NELM = {nelm}")
        Z = np.array(self.Z, dtype=np.uint8)
        lattice = _array(step, "structure/crystal/varray[@name='basis']")
        frac = _array(step, "structure/varray[@name='positions']")
        if lattice is None or frac is None:
            raise UnusableError("no cell or no positions")
        energy, free, repaired = self._energies(step, electronic)
        stress, isif = _array(step, "varray[@name='stress']"), self._isif()
        notes, missing = ["E0 from the last electronic step"] * repaired, dict[str, str]()
        if stress is not None and isif < 2:
            stress, missing = None, {"stress_gpa": f"no stress: VASP computes no tensor with ISIF = {isif}"}
        return Frame(
            frame_id=name,
            material_id=self.stated.get("material_id") or formula_of(Z),
            source="vasprun",
            functional=self.functional,
            run_type=f"{self.functional}{'+U' if self.told.on('LDAU') else ''}",
            label_scale=self.label_scale,
            Z=Z,
            lattice=lattice,
            frac=frac,
            energy=energy,
            energy_free=free,
            forces=_array(step, "varray[@name='forces']"),
            stress_gpa=None if stress is None else KBAR_TO_GPA * stress,
            provenance="; ".join([f"{self.name} ionic step {number}", *notes, *missing.values()]),
            missing=missing,
            trajectory=self.stated.get("trajectory") or self.name,
        )

    def _isif(self) -> int:
        """Return ISIF; VASP's default depends on whether the run is molecular dynamics."""
        return int(self.told.number("ISIF", "0" if self.told.number("IBRION", "-1") == 0 else "2"))

    def _energies(self, step: ET.Element, electronic: list[ET.Element]) -> tuple[float, float, bool]:
        """Return E0, free energy, and whether E0 is not the file's e_0_energy of the ionic step."""
        own = _energy_block(step.find("energy"))
        if "e_fr_energy" not in own or "e_0_energy" not in own:
            raise UnusableError("no energy: the ionic step has no e_fr_energy or no e_0_energy")
        free, given = own["e_fr_energy"], own["e_0_energy"]
        last = _energy_block(electronic[-1].find("energy")) if electronic else {}
        if "e_fr_energy" not in last or "e_0_energy" not in last:
            return given, free, False
        derived = free + (last["e_0_energy"] - last["e_fr_energy"])
        wrong = abs(derived - given) > E0_TOLERANCE
        return (derived if wrong else given), free, wrong


def _stated(file: Path) -> dict[str, str]:
    """Return the names that stand beside a run, none where there is no such file."""
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_bytes())  # with or without a byte order mark
    except ValueError as error:
        raise UnusableError(f"{file.name} beside the run is no JSON: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in STATE_NAMES):
        raise UnusableError(f"{file.name} beside the run does not give {', '.join(STATE_NAMES)} as text")
    return {name: found[name] for name in STATE_NAMES}


def _elements(stream: Any) -> Iterator[ET.Element]:
    """Yield the header elements and ionic steps of a vasprun.xml; what has been passed is dropped from memory."""
    above: list[ET.Element] = []  # a step inside another one is damage, so depth matters
    for event, element in ET.iterparse(Ending(stream), events=("start", "end")):  # noqa: S314
        if event == "start":
            above.append(element)
            continue
        above.pop()
        if element.tag in ("dos", "eigenvalues", "projected", "dynmat"):
            element.clear()
        elif len(above) == 1 and element.tag in ("incar", "parameters", "atominfo", "calculation"):
            yield element
            above[0].clear()


def _energy_block(element: ET.Element | None) -> dict[str, float]:
    return {} if element is None else {str(i.get("name")): _float(i.text) for i in element.iter("i")}


def _float(text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise UnusableError(f"{(text or '').strip()!r} is no number") from None


def _array(element: ET.Element, where: str) -> Floats | None:
    """Return a varray as numbers, (n, 3), or None where there is none."""
    found = element.find(where)
    if found is None:
        return None
    values = [[_float(word) for word in (row.text or "").split()] for row in found.iter("v")]
    if any(len(row) != 3 for row in values):
        raise UnusableError(f"{found.get('name')} has rows without three numbers")
    return np.array(values, dtype=np.float64).reshape(-1, 3)
