"""Which key of a file holds a label, and in what unit, sign and order its numbers are."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from uprung.config.base import Section

_HARTREE, _BOHR, _EV_PER_A3 = 27.211386245988, 0.529177210903, 160.21766208  # eV, Å (CODATA 2018); GPa
_PER_MOL = {"kcal/mol": 4.184 / 96.48533212, "kJ/mol": 1 / 96.48533212}
_ENERGIES = {"eV": 1.0, "meV": 1e-3, "Ha": _HARTREE, "Ry": _HARTREE / 2, **_PER_MOL}
#: Label -> unit -> what one of it is in the unit of the table: eV, eV/Å, GPa (the virial: eV), μB.
UNITS: dict[str, dict[str, float]] = {
    "energy": _ENERGIES,
    "free_energy": _ENERGIES,
    "forces": {
        "eV/A": 1.0,
        "meV/A": 1e-3,
        "Ha/bohr": _HARTREE / _BOHR,
        "Ry/bohr": _HARTREE / _BOHR / 2,
        **{f"{unit}/A": size for unit, size in _PER_MOL.items()},
    },
    "stress": {
        "GPa": 1.0,
        "MPa": 1e-3,
        "kbar": 0.1,
        "bar": 1e-4,
        "eV/A3": _EV_PER_A3,
        "Ha/bohr3": _HARTREE / _BOHR**3 * _EV_PER_A3,
        "Ry/bohr3": _HARTREE / _BOHR**3 * _EV_PER_A3 / 2,
    },
    "virial": _ENERGIES,
    "magmoms": {"muB": 1.0},
}


class LabelKey(Section):
    """The key of a label, and what its numbers are."""

    key: str = Field(min_length=1, description="Key, column or array of the file.")
    unit: str | None = Field(
        default=None,
        description="Unit of the numbers; that of the format unless stated. Energies and virials: "
        f"{', '.join(_ENERGIES)}; forces: {', '.join(UNITS['forces'])}; stress: {', '.join(UNITS['stress'])}.",
    )
    sign: Literal[1, -1] | None = Field(
        default=None,
        description="-1 turns the numbers round. The signs are those of ASE: forces are minus the gradient, stress is "
        "positive under tension (VASP's has the other sign), a virial is minus stress times volume. Unless stated, the "
        "sign of the format.",
    )
    order: Literal["voigt", "vasp"] = Field(
        default="voigt",
        description="Six numbers of a stress or virial are xx yy zz yz xz xy (`voigt`) or xx yy zz xy yz zx (`vasp`); "
        "nine are the matrix, by rows or by columns.",
    )
    per: Literal["cell", "atom"] = Field(default="cell", description="Whether an energy is per cell or per atom.")


def _as_section(value: Any) -> Any:
    return {"key": value} if isinstance(value, str) else value


Named = Annotated[
    LabelKey | None, BeforeValidator(_as_section, json_schema_input_type=Annotated[str, Field(min_length=1)] | LabelKey)
]


class Keys(Section):
    """Where the labels of a file stand. A label that is not named is read under the format's own name."""

    energy: Named = Field(default=None, description="E0 (σ→0): a key (`REF_energy`), or one with unit and sign.")
    free_energy: Named = Field(default=None, description="What the forces are gradients of.")
    forces: Named = Field(default=None, description="Forces.")
    stress: Named = Field(default=None, description="Stress.")
    virial: Named = Field(default=None, description="Virial of the cell in place of a stress: minus stress × volume.")
    magmoms: Named = Field(default=None, description="Site moments.")

    @field_validator("*", mode="after")
    @classmethod
    def _options_of_the_label(cls, named: LabelKey | None, info: ValidationInfo) -> LabelKey | None:
        """Check that unit, order and per belong to the label."""
        what = info.field_name or ""
        if named is None:
            return named
        if named.unit is not None and named.unit not in UNITS[what]:
            raise ValueError(f"unit: {named.unit!r} is no unit of this label (allowed: {', '.join(UNITS[what])})")
        if named.order != "voigt" and what not in ("stress", "virial"):
            raise ValueError("order: only a stress or a virial has one")
        if named.per != "cell" and what not in ("energy", "free_energy"):
            raise ValueError("per: only an energy may be per atom")
        return named

    @model_validator(mode="after")
    def _one_tensor(self) -> Self:
        if self.stress is not None and self.virial is not None:
            raise ValueError("name `stress` or `virial`, not both")
        return self
