"""Section of the study file about scaling laws, for studies that train and studies of given points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from uprung.config.base import Section, Target

Positive = Annotated[float, Field(gt=0)]
#: Laws by name, in words; their mathematics is in `uprung.laws.forms`.
LAWS = {
    "power": "C·N⁻ᵃ",
    "saturating": "C·N⁻ᵃ + E∞",
    "shifted": "C·(N + N₀)⁻ᵃ",
    "broken": "two power laws",
}
if TYPE_CHECKING:
    LawName = str
else:
    LawName = Literal[("auto", *LAWS)]


class Laws(Section):
    """Which laws are fitted, and what is derived from them."""

    law: LawName = Field(
        default="auto",
        description=f"{', '.join(f'`{name}` {words}' for name, words in LAWS.items())}; `auto`: the power law unless "
        "another one is clearly better. All are fitted and compared.",
    )
    robust: bool = Field(default=False, description="Fit with the Huber loss instead of least squares.")
    extrapolate: list[Positive] = Field(default=[], description="Training-set sizes to extrapolate to.")
    errors: dict[Target, list[Positive]] = Field(
        default={},
        description="Errors to reach (eV/atom, eV/Å, GPa, μB), for which the number of labels is given; default: "
        "shares of the lowest one.",
    )
