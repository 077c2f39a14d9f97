"""Section of the study file about scaling laws, shared by studies that train and studies of given points."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from uprung.config.base import Section, Target

Positive = Annotated[float, Field(gt=0)]


class Laws(Section):
    """Which laws are fitted, and what is asked of them."""

    law: Literal["auto", "power", "saturating", "shifted", "broken"] = Field(
        default="auto",
        description="`power` C·N⁻ᵃ, `saturating` C·N⁻ᵃ + E∞, `shifted` C·(N + N₀)⁻ᵃ, `broken` two power laws; `auto`: "
        "the power law unless another one is clearly better. All are fitted and compared.",
    )
    robust: bool = Field(default=False, description="Huber's loss in place of least squares.")
    extrapolate: list[Positive] = Field(default=[], description="Sizes at which the laws' errors are given.")
    errors: dict[Target, list[Positive]] = Field(
        default={},
        description="Errors whose labels are counted, in eV/atom, eV/Å, GPa, μB; default: shares of the lowest one.",
    )
