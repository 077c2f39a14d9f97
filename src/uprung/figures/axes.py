"""What the figures of learning curves share: labels of axes, ticks, width of legends."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

X_LABEL = "labelled r²SCAN structures in training"


def subdivisions(ratio: float) -> tuple[float, ...]:
    """Return which multiples of a decade to label so that a log axis has a handful of labels."""
    return (1.0,) if ratio > 150 else (1.0, 2.0, 5.0) if ratio > 4 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)


def legend_columns(figure: Figure, labels: Mapping[str, str]) -> int:
    """Return how many arms fit beside each other above the panels, by the length of the longest label."""
    character, handle = 0.062, 0.5  # inch, at the legend's font size
    longest = max(len(label) for label in labels.values())
    return max(1, min(len(labels), int(figure.get_figwidth() / (handle + character * longest))))
