"""Published data sets that hold pymatgen structures as JSON: MPtrj, MP-r2SCAN, MatPES, MP-ALOE, WBM high-energy states.

No pymatgen object is built. Energies are eV per cell and forces eV/Å in all of them; stresses are kbar in VASP's sign
(compression positive), 3×3 or in the order xx yy zz yz xz xy, and become GPa here. `frac` is the `abc` of the sites.

MPtrj: Deng et al., Nat. Mach. Intell. 5, 1031 (2023). MatPES: Kaplan et al., arXiv:2503.04070. WBM high-energy states:
Deng et al., npj Comput. Mater. 11, 9 (2025). The layouts are those of their documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from uprung.config.keys import Keys, LabelKey
from uprung.frames.schema import Floats, Frame, FramesError, Rejected
from uprung.sources.common import (
    MATPES_SCALE,
    UnusableError,
    formula_of,
    number,
    pymatgen_structure,
    same_functional,
)
from uprung.sources.files import Advance, unheard
from uprung.sources.json_records import Record, read_records
from uprung.sources.label_keys import COLUMNS, RecordLabels, converted, keys_over, volume_of
from uprung.sources.settings import Settings
from uprung.sources.stated import require_stated

MP_LEGACY = "VASP PBE_52 PAW, {functional}, U by the Materials Project's rule, uncorrected"


@dataclass(frozen=True)
class DataSet:
    """What one published set calls its labels, and on which scale they are.

    A key that is missing rejects the record, since a layout with other names would lose labels silently; `null` means
    that the label does not exist.
    """

    source: str
    functional: str | None  # None: every record says its own
    label_scale: str
    run_type: str
    energy: str
    forces: str
    stress: str
    magmom: str | None
    corrected: str | None  # total energy after corrections
    names: Callable[[Record, Any], tuple[str, str]]  # -> frame_id, material_id

    @property
    def own(self) -> Keys:
        """The keys of the labels."""
        stress = LabelKey(key=self.stress, unit="kbar", sign=-1)
        named = {"energy": self.energy, "forces": self.forces, "stress": stress, "magmoms": self.magmom}
        return Keys.model_validate({label: key for label, key in named.items() if key is not None})


def _nested_names(record: Record, Z: Any) -> tuple[str, str]:
    """Return the names of `{material: {frame: record}}`, which may not contradict the record's own `mp_id`."""
    if len(record.names) != 2:
        raise UnusableError(
            f"expected the names of a material and a frame above the record, but found {len(record.names)}"
        )
    material, frame = record.names
    own = record.content.get("mp_id")
    if own is not None and own != material:
        raise UnusableError(f"mp_id is {own!r}, but the record stands under {material!r}")
    return frame, material


def _own_names(record: Record, Z: Any, *, key: str) -> tuple[str, str]:
    """Return the record's own name, and its material: the Materials Project's, the prototype's, or the formula."""
    content = record.content
    name = _get(content, key)
    if not isinstance(name, str) or not name:
        raise UnusableError(f"{key} is no name, but {name!r}")
    provenance = content.get("provenance")
    origin = provenance.get("original_mp_id") if isinstance(provenance, dict) else None
    if isinstance(origin, str) and origin:
        return name, origin
    prototype = content.get("prototype_number")
    return name, formula_of(Z) if prototype is None else f"prototype-{prototype}-{formula_of(Z)}"


_MATPES = DataSet(
    "matpes", None, MATPES_SCALE, "{functional} static", "energy", "forces", "stress", None, None,
    partial(_own_names, key="matpes_id"),
)  # fmt: skip
DATA_SETS = {
    "mptrj": DataSet(
        "mptrj", "PBE", MP_LEGACY, "GGA or GGA+U relaxation or static", "uncorrected_total_energy", "force", "stress",
        "magmom", "corrected_total_energy", _nested_names,
    ),
    "mp-r2scan": DataSet(
        "mp-r2scan", "r2SCAN", "VASP PBE_54 PAW, {functional}, no U, uncorrected", "r2SCAN relaxation or static",
        "uncorrected_total_energy", "force", "stress", "magmom", None, _nested_names,
    ),
    "matpes": _MATPES,
    "mp-aloe": DataSet(
        "mp-aloe", "r2SCAN", "VASP PAW of MP-ALOE, {functional}, no U, uncorrected", "r2SCAN relaxation step", "energy",
        "forces", "stress", None, None, partial(_own_names, key="mp_aloe_id"),
    ),
    "wbm-high-energy": DataSet(
        "wbm-high-energy", "PBE", MP_LEGACY, "GGA or GGA+U static", "vasp_e", "vasp_f", "vasp_s", None, None,
        _nested_names,
    ),
}  # fmt: skip


def read(
    path: Path,
    functional: str,
    label_scale: str | None = None,
    *,
    data_set: str,
    keys: Keys | None = None,
    settings: Settings | None = None,
    advance: Advance = unheard,
) -> Iterator[Frame | Rejected]:
    """Yield the records of a published set as they stand in the file.

    Args:
        path: the JSON file, plain or compressed.
        functional: functional of the fidelity; a MatPES record of another one is rejected.
        label_scale: stated in place of the set's own.
        data_set: a key of `DATA_SETS`.
        keys: of labels that are under other names than the set's.
        settings: those of the fidelity's records so far, as far as records state any.
        advance: is told how many bytes of the file have been read.

    Raises:
        FramesError: the set has no labels of this functional, or the file is unusable (see `read_records`).
    """
    layout = DATA_SETS[data_set]
    if layout.functional is not None and not same_functional(layout.functional, functional):
        raise FramesError(
            f"{path}: {data_set} holds labels of {layout.functional}, but this fidelity is {functional!r}"
        )
    scale = label_scale or layout.label_scale.format(functional=functional)
    where = keys_over(keys, layout.own)
    settings = settings or Settings()
    for record in read_records(path, "structure", advance):
        if isinstance(record, Rejected):
            yield record
            continue
        try:
            frame = _frame(record, layout, where, functional, scale)
            require_stated(settings, frame, record.content, record.content["structure"])
            yield frame
        except UnusableError as error:
            yield Rejected(_name(record, layout), str(error))


def _name(record: Record, layout: DataSet) -> str:
    """Return how a rejected record is listed."""
    own = record.content.get("matpes_id", record.content.get("mp_aloe_id"))
    return str(record.names[-1] if record.names else own or f"record {record.number}")


def _frame(record: Record, layout: DataSet, keys: Mapping[str, LabelKey], functional: str, scale: str) -> Frame:
    content = record.content
    Z, lattice, frac = pymatgen_structure(_get(content, "structure"))
    frame_id, material_id = layout.names(record, Z)
    stated = content.get("functional")
    if (layout.functional is None or stated is not None) and not same_functional(stated, functional):
        raise UnusableError(f"functional is {stated!r}, but this fidelity is {functional!r}")
    if "nsites" in content and content["nsites"] != len(Z):
        raise UnusableError(f"nsites is {content['nsites']!r}, but the structure has {len(Z)} sites")
    labels = _labels(content, keys, lattice, len(Z))
    energy = labels.values["energy"]
    return Frame(
        frame_id=frame_id,
        material_id=material_id,
        source=layout.source,
        functional=functional,
        run_type=layout.run_type.format(functional=functional),
        label_scale=scale,
        Z=Z,
        lattice=lattice,
        frac=frac,
        **labels.values,
        correction=_correction(content, layout.corrected, energy),
        bad=labels.bad,
        provenance="/".join(record.names),
    )


def _get(content: dict[str, Any], key: str) -> Any:
    if key not in content:
        raise UnusableError(f"no {key!r} (keys here: {', '.join(content)})")
    return content[key]


def _labels(content: dict[str, Any], keys: Mapping[str, LabelKey], lattice: Floats, n: int) -> RecordLabels:
    """Return the labels of a record; null means no label, and only a missing energy rejects the record."""
    found, volume = RecordLabels(), volume_of(lattice)
    for label, spec in keys.items():
        value = _get(content, spec.key)
        if value is None and label != "energy":
            continue
        try:
            found.values[COLUMNS[label]] = converted(label, value, spec, volume, n)
        except UnusableError as error:
            if label == "energy":
                raise
            found.bad[COLUMNS[label]] = str(error)
    return found


def _correction(content: dict[str, Any], key: str | None, energy: float) -> float | None:
    if key is None or (value := _get(content, key)) is None:
        return None
    return number(value, key) - energy
