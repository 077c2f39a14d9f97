"""Validation of calculations by pymatgen-io-validation: flags of frames, never a rejection.

It holds input and output of a VASP calculation against the input sets that the Materials Project uses today, so it
calls calculations invalid that the project itself made with earlier sets. A check whose data a document lacks is not
made and counts as such; the package alone would skip it, or call the calculation invalid.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp.inputs import Incar, Kpoints

from uprung.job.extras import extra
from uprung.sources.materials_project.findings import Finding, FindingKind
from uprung.sources.materials_project.records import Steps, Task

with extra("pull"):
    from pymatgen.io.validation.check_incar import CheckIncar
    from pymatgen.io.validation.common import (
        BaseValidator,
        LightElectronicStep,
        LightIonicStep,
        LightOutcar,
        LightVasprun,
        PotcarSummaryStats,
        VaspFiles,
        VaspInputSafe,
    )
    from pymatgen.io.validation.validation import DEFAULT_CHECKS

NAME = f"pymatgen-io-validation {importlib.metadata.version('pymatgen-io-validation')}"
Json = dict[str, Any]
#: Checks of the package, and the names under which they are reported.
WORDS = {
    "CheckKpointsKspacing": "k-points",
    "CheckPotcar": "potentials",
    "CheckIncar": "INCAR",
    "_check_vasp_version": "VASP version",
    "_check_electronic_convergence": "electronic convergence",
    "_check_scf_grad": "energies of the electronic steps",
    "_check_drift_forces": "drift of the forces",
    "_check_large_magmoms": "magnetic moments",
}
#: What the package says, as reason or warning, when it could not look.
UNMADE = re.compile(r"Missing POTCAR|Issue validating POTCARS|does not contain forces|Issue checking|Not enough")
_UNKNOWN_VERSION = (6, 0, 0)  # every check but that of the version goes the same way for it as for any VASP 6


def validate(document: Json, row: Json, task: Task, steps: Steps) -> list[Finding]:
    """Return the findings about a calculation, sorted; none: all checks were made and passed.

    Args:
        document: its task document, as the table has it.
        row: its trajectory, as the table has it.
        task: what was read of the document.
        steps: what was read of the trajectory.
    """
    try:
        findings = set(_findings(document, row, task, steps))
    except Exception as error:  # a package that expects other data than the table's may raise anything
        findings = {Finding("not checked", "everything", _words(error))}
    return sorted(findings, key=lambda finding: (finding.kind, finding.what, finding.text))


def _findings(document: Json, row: Json, task: Task, steps: Steps) -> Iterator[Finding]:
    missing = _missing(document, row, task, steps)
    files = _files(document, row, task, steps)
    if files.validation_errors:  # without input set to compare with, no check can be made
        for text in files.validation_errors:
            tags = "Both the GGA and METAGGA" in text
            yield _told("invalid", "GGA and METAGGA", text) if tags else _told("not checked", "everything", text)
        return
    for what, reason in missing.items():
        yield Finding("not checked", WORDS.get(what, what), reason)
    for kind in DEFAULT_CHECKS:
        if kind.__name__ not in missing:
            # the check of the INCAR changes its own defaults on the way, the others can be used again
            yield from _made(kind() if kind is CheckIncar else _check(kind), files, missing)


def _missing(document: Json, row: Json, task: Task, steps: Steps) -> dict[str, str]:
    """Return check -> why it cannot be made, for those whose data are not there."""
    given, out = document.get("input") or {}, document.get("output") or {}
    outcar, scf = out.get("outcar") or {}, [step for steps in row.get("electronic_steps") or [] for step in steps or []]
    no_document, no_trajectory = "the task document has no {}", "the trajectory has no {}"
    needs = {
        "CheckKpointsKspacing": (given.get("kpoints"), no_document.format("k-points")),
        "CheckPotcar": (_potcar(given), no_document.format("statistics of the potentials")),
        "_check_vasp_version": (task.vasp, no_document.format("VASP version")),
        "NBANDS and NELECT": (
            _parsed(given.get("parameters")).keys() >= {"NBANDS", "NELECT"},
            no_document.format("number of bands, or none of electrons"),
        ),
        "smearing for the band gap": (out.get("bandgap") is not None, no_document.format("band gap")),
        "_check_large_magmoms": (outcar.get("magnetization"), no_document.format("moments of OUTCAR")),
        "_check_drift_forces": (
            outcar.get("drift") and outcar.get("magnetization"),
            no_document.format("drift, or no moments, of OUTCAR"),
        ),
        "_check_electronic_convergence": ((steps.n_scf > 0).all(), no_trajectory.format("number of electronic steps")),
        "_check_scf_grad": (
            scf and all(step.get("e_fr_energy") is not None for step in scf),
            no_trajectory.format("energies of electronic steps"),
        ),
        "electronic entropy": (
            any(step.get("eentropy") is not None for step in scf),
            no_trajectory.format("entropies of electronic steps"),
        ),
    }
    return {check: reason for check, (there, reason) in needs.items() if not there}


def _files(document: Json, row: Json, task: Task, steps: Steps) -> VaspFiles:
    """Return a calculation as the package knows it; what is missing is empty."""
    given, out = document.get("input") or {}, document.get("output") or {}
    kpoints = Kpoints.from_dict(given["kpoints"]) if given.get("kpoints") else None
    version = [int(n) for n in re.findall(r"\d+", task.vasp)[:3]] or _UNKNOWN_VERSION
    outcar = out.get("outcar") or {}
    return VaspFiles(
        user_input=VaspInputSafe(
            incar=_incar(given),
            structure=_structure(given, steps),
            kpoints=kpoints,
            potcar=_potcar(given),
        ),
        outcar=LightOutcar(**{key: outcar.get(key) for key in ("drift", "magnetization")})
        if outcar.get("magnetization")
        else None,
        # not validated: a band gap or k-points that are missing would not pass, although most checks do without
        vasprun=LightVasprun.model_construct(
            vasp_version=".".join(map(str, [*version, 0, 0][:3])),
            final_energy=task.energy,
            final_structure=Structure(
                Lattice(task.lattice), task.Z.astype(int), task.frac, charge=(out.get("structure") or {}).get("charge")
            ),
            kpoints=kpoints,
            parameters=_parsed(given.get("parameters")),
            bandgap=out.get("bandgap"),
            ionic_steps=[_ionic_step(row, steps, k) for k in range(len(steps.energy))],
            potcar_symbols=[spec["titel"] for spec in given.get("potcar_spec") or [] if spec.get("titel")] or None,
        ),
    )


def _parsed(text: Any) -> Json:
    """Return a dictionary that the table keeps as JSON text, {} for none."""
    content = json.loads(text) if isinstance(text, str) and text else text
    return content if isinstance(content, dict) else {}


def _incar(given: Json) -> Incar:
    """Return the INCAR without tags that are not set; VASP's `--` for no functional is one to the package."""
    tags = {key: value for key, value in _parsed(given.get("incar")).items() if value is not None}
    unset = [key for key in ("GGA", "METAGGA") if str(tags.get(key)).strip().upper() in ("", "--", "NONE")]
    return Incar({key: value for key, value in tags.items() if key not in unset})


def _structure(given: Json, steps: Steps) -> Structure:
    """Return the structure of the first step, with what was held fixed."""
    sites = (given.get("structure") or {}).get("sites") or []
    fixed = [(site.get("properties") or {}).get("selective_dynamics") for site in sites]
    known = len(fixed) == len(steps.Z) and all(value is not None for value in fixed)
    return Structure(
        Lattice(steps.lattice[0]),
        steps.Z.astype(int),
        steps.frac[0],
        site_properties={"selective_dynamics": fixed} if known else None,
    )


def _potcar(given: Json) -> list[PotcarSummaryStats] | None:
    """Return titles and statistics of the potentials; None unless all of them have both."""
    found = []
    for spec in given.get("potcar_spec") or []:
        title, summary = spec.get("titel"), spec.get("summary_stats") or {}
        if not title or not summary.get("keywords") or not summary.get("stats"):
            return None
        functional = "pe" if title.startswith("PAW_PBE") else "ca"
        found.append(PotcarSummaryStats(titel=title, lexch=functional, **summary))
    return found or None


def _ionic_step(row: Json, steps: Steps, k: int) -> LightIonicStep:
    electronic, forces = row.get("electronic_steps") or [], steps.forces[k]
    own = (electronic[k] if k < len(electronic) else None) or [{}] * max(1, int(steps.n_scf[k]))
    names = ("e_0_energy", "e_fr_energy", "e_wo_entrp", "eentropy")
    return LightIonicStep.model_construct(
        e_0_energy=None if np.isnan(steps.energy[k]) else float(steps.energy[k]),
        e_fr_energy=float(steps.energy_free[k]),
        forces=None if forces is None else forces.tolist(),
        electronic_steps=[LightElectronicStep(**{name: step.get(name) for name in names}) for step in own],
    )


@cache
def _check(kind: type[BaseValidator]) -> BaseValidator:
    """Return a check that is made once: that of the potentials reads a large file."""
    return kind()


def _made(check: BaseValidator, files: VaspFiles, missing: dict[str, str]) -> Iterator[Finding]:
    """Run a check, part by part where it has parts, and yield what it finds."""
    name = type(check).__name__
    parts: dict[str, Callable[..., None]] = {name: check.check}
    if type(check).check is BaseValidator.check:
        parts = {part: getattr(check, part) for part in sorted(dir(check)) if part.startswith("_check_")}
    for part, look in parts.items():
        if part in missing:
            continue
        reasons, warnings = list[str](), list[str]()
        try:
            look(files, reasons, warnings)
        except Exception as error:  # as above
            what = WORDS.get(part, WORDS.get(name, part.removeprefix("_check_").replace("_", " ")))
            yield Finding("not checked", what, _words(error))
        yield from (_told("invalid", None, text) for text in reasons)
        yield from (_told("warning", None, text) for text in warnings)


def _told(kind: FindingKind, what: str | None, text: str) -> Finding:
    """Return what the package says as a finding; its few words are the tag or the topic that it begins with."""
    text = " ".join(text.split())
    topic, arrow, rest = text.partition(" --> ")
    if what is None:
        tag = rest.partition(":")[0]
        what = tag if topic == "INPUT SETTINGS" and arrow else (topic if arrow else text.partition(":")[0]).lower()
    start, listed, pieces = text.partition("This includes: ")
    if listed:  # in no order, as the package has it
        text = f"{start}{listed}{'; '.join(sorted(pieces.rstrip('.').split('; ')))}."
    return Finding("not checked" if UNMADE.search(text) else kind, what[:80], text)


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
