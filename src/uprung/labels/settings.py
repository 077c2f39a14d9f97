"""Settings in which the calculations of a pair's two fidelities differ beside their functional."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Facts = Mapping[str, Mapping[str, int]]
#: The functional's own keys: what the pair is about.
_FUNCTIONAL = {"LASPH", "GGA_COMPAT"}
MOST = 5  # settings of one kind that a sentence names


def unlike_settings(low: Mapping[str, Any], high: Mapping[str, Any]) -> list[str]:
    """Return findings about settings that both fidelities state and that differ: potentials first.

    Args:
        low: manifest of the fidelity with the cheap labels.
        high: of that with the better labels.
    """
    left, right = (side.get("settings", {}) for side in (low, high))
    unlike = [name for name in left if name in right and set(left[name]) != set(right[name])]
    potentials = [name for name in unlike if name.startswith("potential of ")]
    others = [name for name in unlike if name not in potentials and name not in _FUNCTIONAL]
    titled = (("pseudopotentials", potentials), ("settings", others))
    return [f"{what} differ between the fidelities: {_listed(left, right, names)}" for what, names in titled if names]


def _listed(left: Facts, right: Facts, names: list[str]) -> str:
    shown = [
        f"{name.removeprefix('potential of ')} {' and '.join(left[name])} (low), {' and '.join(right[name])} (high)"
        for name in names[:MOST]
    ]
    return "; ".join(shown) + (f"; {len(names) - MOST} more" if len(names) > MOST else "")
