"""Figure of the learning curves: errors against training size with their laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from uprung.figures import states, style
from uprung.figures import yardsticks as measures
from uprung.figures.axes import (
    GREY,
    X_LABEL,
    grid_behind,
    legend_of_arms,
    panels,
    plain_numbers,
    rows_of,
    subdivisions,
)
from uprung.figures.single_size import errors_by_arm
from uprung.scaling import LAW_POPULATION, with_measures
from uprung.scaling.settled import are_firm

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Names of the geometry-free baseline.
BASELINE_NAMES = {"energy": "reference\nonly", "force": "F = 0", "stress": "σ = 0", "magmom": "no\ngeometry"}
NOTE_WIDTH = 56  # characters that fit above a panel
NOTE_LINE = 8.6  # points
LEGEND_LINE = 0.19  # inch, of a line of the legend of arms
ROOM = 0.75  # inch that notes and legend take before the figure grows
PUBLISHED_MARKERS = {"scratch": "x", "transfer": "+"}
APART = 1.2  # ratio of last to best from which both are drawn


@mpl.rc_context(style.RC)
def learning_curves(
    curves: pd.DataFrame,
    laws: pd.DataFrame,
    *,
    targets: Sequence[str],
    arm_labels: Mapping[str, str],
    bands: pd.DataFrame | None = None,
    crossings: pd.DataFrame | None = None,
    published: pd.DataFrame | None = None,
    yardsticks: pd.DataFrame | None = None,
    x_label: str = X_LABEL,
) -> Figure:
    """Draw test MAE against training size in log–log, one panel per target (and per budget, if several).

    With one size there is no curve: then the errors are drawn by arm (`errors_by_arm`).

    `curves`, `laws`, `bands` and `crossings` are the tables of `uprung.scaling` (`crossings` that of `crossovers`);
    points of the covered population are drawn, with the chosen laws of `bands`: filled where settled, pale where not,
    hollow where they enter no law; a small mark at the error of the other one of last and best where
    they differ by more than a fifth. `arm_labels` names the arms and orders them; colour and marker follow its order.
    `published` (columns arm, target, n_frames, mae) adds another study's points in grey, `yardsticks` (of
    `uprung.evaluation.yardsticks`) what needs no network.
    Raises ValueError for a target or an arm that cannot be drawn.
    """
    points = curves[curves["population"] == LAW_POPULATION]
    _check(points, targets, arm_labels)
    if len(set(points["size"])) == 1:
        return errors_by_arm(curves, targets=targets, arm_labels=arm_labels, yardsticks=yardsticks)
    budgets = list(dict.fromkeys(points["budget"]))
    shown = [(b, t) for b in budgets for t in targets]
    measured_too = yardsticks is not None or points.get("untouched", pd.Series(dtype=float)).notna().any()
    figure, axes, columns = panels(len(shown), height=4.3 if measured_too else 3.4)
    notes: list[list[str]] = []
    known, drawn = with_measures(points), set[str]()
    for axis, (budget, target) in zip(axes, shown, strict=True):
        here = rows_of(known, budget, target)
        measured, start = measures.means_of(yardsticks, target), measures.before_training(here)
        # without a single law the table is empty, and its columns have no types
        lines = rows_of(bands[bands["chosen"]], budget, target) if bands is not None and len(bands) else None
        _panel(axis, here, lines, target, list(arm_labels))
        theirs = None if published is None else published[published["target"] == target].query("n_frames > 0")
        if theirs is not None:
            _published(axis, theirs, target)
        drawn |= set(measures.draw(axis, start, measured, style.TARGETS[target][2]))
        beside = [start["untouched"], measured["mae"], *([] if theirs is None else [theirs["mae"]])]
        _axes(axis, here, target, beside, None if theirs is None else theirs["n_frames"])
        axis.set_xlabel(x_label)
        met = None if crossings is None else rows_of(crossings, budget, target)
        if met is not None:
            _rings(axis, met, style.TARGETS[target][2])
        notes.append([] if met is None else _notes(met, arm_labels, here))
    names = [style.TARGETS[t][0].capitalize() + (f", {b}" if len(budgets) > 1 else "") for b, t in shown]
    rows = [slice(k, k + columns) for k in range(0, len(shown), columns)]
    noted = sum(_titles(axes[row], names[row], notes[row]) for row in rows) / 72
    marked = crossings is not None and bool((crossings["kind"] == "in range").any())
    others = [] if published is None else [str(a) for a in dict.fromkeys(published["arm"])]
    named = _legend(figure, arm_labels, laws, marked, others, known, sorted(drawn)) * LEGEND_LINE
    # many notes or arms make the figure longer, not its panels smaller
    figure.set_figheight(figure.get_figheight() + max(noted + named - ROOM * len(rows), 0))
    return figure


def _check(points: pd.DataFrame, targets: Sequence[str], arm_labels: Mapping[str, str]) -> None:
    unknown = [t for t in targets if t not in style.TARGETS]
    absent = [t for t in targets if t not in set(points["target"])]
    unnamed = sorted(set(points["arm"]) - set(arm_labels))
    if not targets or unknown:
        raise ValueError(f"targets {list(targets)}: allowed are {list(style.TARGETS)}, at least one")
    if absent:
        raise ValueError(f"no points of target(s) {absent} on the population {LAW_POPULATION!r}")
    if unnamed:
        raise ValueError(f"arm_labels has no label for {unnamed}")
    if len(arm_labels) > len(style.COLOURS):
        raise ValueError(f"{len(arm_labels)} arms in one figure: at most {len(style.COLOURS)} can be told apart")


def _panel(axis: Axes, points: pd.DataFrame, lines: pd.DataFrame | None, target: str, arms: list[str]) -> None:
    """Draw every arm's points, the line of its seed means, its law with band, and the baseline."""
    factor = style.TARGETS[target][2]
    axis.set_xscale("log")
    axis.set_yscale("log")
    for i, arm in enumerate(arms):
        mine = points[points["arm"] == arm]
        if not len(mine):
            continue
        colour, marker = style.COLOURS[i], style.MARKERS[i]
        means = mine.groupby("size")[["n_frames", "mae"]].mean().sort_values("n_frames")
        axis.plot(means["n_frames"], means["mae"] * factor, ":", color=colour, lw=0.9, zorder=2)
        if lines is not None:
            law = lines[lines["arm"] == arm]
            axis.plot(law["n"], law["mae"] * factor, "-", color=colour, lw=1.4, zorder=3)
            axis.fill_between(
                law["n"], law["low"] * factor, law["high"] * factor, color=colour, alpha=0.13, lw=0, zorder=1
            )
        for face, part in states.fills(mine, colour):
            axis.plot(part["n_frames"], part["mae"] * factor, marker, color=colour, mfc=face, mew=0.9, zorder=4)
        apart = mine[np.abs(np.log(mine["mae_other"] / mine["mae"])) > np.log(APART)]
        both = apart[["mae", "mae_other"]] * factor
        axis.vlines(apart["n_frames"], both.min(axis=1), both.max(axis=1), color=colour, lw=0.5, zorder=2.2)
        axis.plot(apart["n_frames"], both["mae_other"], "_", color=colour, ms=5, mew=1, zorder=3.5)
    _baseline(axis, points, target, factor)


def _baseline(axis: Axes, points: pd.DataFrame, target: str, factor: float) -> None:
    """Draw a dashed line per distinct baseline, named at its right end."""
    with_baseline = points.dropna(subset=["baseline"])
    ends: list[float] = []
    drawn: list[pd.Series] = []
    for _, mine in with_baseline.groupby("arm", sort=False):
        line = mine.groupby("size")[["n_frames", "baseline"]].mean().sort_values("n_frames")
        values = line["baseline"]
        if any(values.index.equals(d.index) and np.allclose(values, d, rtol=0.03) for d in drawn):
            continue  # arms that share a reference share this line
        drawn.append(values)
        axis.plot(line["n_frames"], values * factor, "--", color=GREY, lw=1.1, zorder=2.5)
        end = float(values.iloc[-1]) * factor
        if all(abs(np.log(end / e)) > 0.2 for e in ends):
            ends.append(end)
            axis.annotate(
                BASELINE_NAMES[target],
                (1.0, end),
                xycoords=axis.get_yaxis_transform(),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
                color="#444444",
                annotation_clip=False,
            )


def _published(axis: Axes, points: pd.DataFrame, target: str) -> None:
    factor = style.TARGETS[target][2]
    for arm, part in points.groupby("arm", sort=False):
        marker = PUBLISHED_MARKERS.get(str(arm), "1")
        axis.plot(part["n_frames"], part["mae"] * factor, marker, color=GREY, ms=4.5, mew=0.9, zorder=1.5)


def _axes(axis: Axes, points: pd.DataFrame, target: str, others: Sequence[pd.Series], sizes: pd.Series | None) -> None:
    """Set limits from the points (bands may be far wider), plain-number ticks and the labels with their units."""
    factor = style.TARGETS[target][2]
    x = points["n_frames"] if sizes is None else pd.concat([points["n_frames"], sizes])
    y = pd.concat([each.dropna().astype(float) for each in (points["mae"], points["baseline"], *others)]) * factor
    y = y[np.isfinite(y) & (y > 0)]  # zero (of one compound, a shift may be exact) is nowhere on a logarithmic axis
    y = y if len(y) else pd.Series([1.0])
    x_pad, y_pad = (x.max() / x.min()) ** 0.05, (y.max() / y.min()) ** 0.07
    axis.set_xlim(x.min() / x_pad, x.max() * x_pad)
    axis.set_ylim(y.min() / y_pad, y.max() * y_pad)
    ticks = [float(v) for v in points.groupby("size")["n_frames"].mean().sort_values()]
    width = np.log(axis.get_xlim()[1] / axis.get_xlim()[0])
    roomy = len(ticks) > 1 and np.diff(np.log(ticks)).min() / width > 0.12
    axis.xaxis.set_major_locator(FixedLocator([_tidy(t) for t in ticks]) if roomy else LogLocator())
    axis.yaxis.set_major_locator(LogLocator(subs=subdivisions(y.max() / y.min())))
    plain_numbers(axis.xaxis, axis.yaxis)
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_minor_locator(LogLocator(subs=tuple(range(2, 10))))
    grid_behind(axis)
    name, unit, _ = style.TARGETS[target]
    axis.set_ylabel(f"test MAE, {name} ({unit})")


def _tidy(n: float) -> float:
    """Round a mean number of frames (103.5, or 1,601.5) to the size that was asked for, within 4 %."""
    for digits in (1, 2, 3):
        step = 10.0 ** (np.floor(np.log10(n)) - digits + 1)
        rounded = float(np.round(n / step) * step)
        if abs(rounded / n - 1) < 0.04:
            return rounded
    return float(np.round(n))


def _rings(axis: Axes, crossings: pd.DataFrame, factor: float) -> None:
    """Ring the crossings in range on their lines; an end of the interval outside the panel has no cap."""
    for _, row in crossings[crossings["kind"] == "in range"].iterrows():
        mae = float(row["mae"]) * factor
        left, right = axis.get_xlim()
        low, high = float(row["low"]), float(row["high"])
        axis.plot([max(low, left), min(high, right)], [mae, mae], "-", color="black", lw=0.9, zorder=5)
        caps = [v for v in (low, high) if left < v < right]
        if caps:
            axis.plot(caps, [mae] * len(caps), "|", color="black", ms=6, zorder=5)
        axis.plot([row["n"]], [mae], "o", mfc="none", mec="black", mew=1.1, ms=9, zorder=5)


def _notes(crossings: pd.DataFrame, arm_labels: Mapping[str, str], points: pd.DataFrame) -> list[str]:
    """State which arms change places and where: by the fitted laws, else by the order of the means; settled or not."""
    found: dict[tuple[str, str, bool], dict[str, list[str]]] = {}
    for _, row in crossings.iterrows():
        scratch, transfer = str(row["scratch"]), str(row["transfer"])
        if row["kind"] != "none":
            basis, better = "Fitted laws", str(row["better_above"])
            place = f"at {_size(row['n'])} (95\u00a0%: {_size(row['low'])} to {_size(row['high'])})"
            if row["kind"] == "extrapolated":
                place += f", extrapolated by {max(row['decades'], 0.1):.1f} decades"
        elif np.isfinite(row["observed_between_low"]):
            basis, better = "Means only", str(row["observed_better_above"])
            low, high = float(row["observed_between_low"]), float(row["observed_between_high"])
            place = f"at {_tidy(low):,.0f}–{_tidy(high):,.0f}"
            place += "" if row["observed_every_seed"] else " (not in every seed)"
        else:
            continue
        given = bool(points["baseline"].isna().all())
        place += "" if given or are_firm(points, [scratch, transfer]) else ", not settled"
        places = found.setdefault((basis, scratch, better == scratch), {})
        places.setdefault(place, []).append(arm_labels[transfer])
    return [
        f"{basis}: {arm_labels[scratch]} {'overtakes' if first else 'is overtaken by'} "
        + "; ".join(f"{', '.join(arms)} {place}" for place, arms in places.items())
        for (basis, scratch, first), places in found.items()
    ]


def _titles(axes: Sequence[Axes], titles: Sequence[str], notes: Sequence[list[str]]) -> float:
    """Set bold titles over the wrapped notes, as high for all panels of a row; return the height of notes, points."""
    lines = [[line for note in one for line in wrap(note, NOTE_WIDTH, subsequent_indent="   ")] for one in notes]
    height = NOTE_LINE * max(map(len, lines))
    for axis, title, mine in zip(axes, titles, lines, strict=False):
        axis.set_title(title, loc="left", fontweight="bold", pad=6 + height)
        if mine:
            note = axis.annotate(
                "\n".join(mine),
                (0, 1),
                xycoords="axes fraction",
                xytext=(0, 3 + height),
                textcoords="offset points",
                va="top",
                fontsize=6.5,
                linespacing=1.2,
            )
            note.set_in_layout(False)  # the title reserves the height; the width must not squeeze the panel
    return height


def _size(n: float) -> str:
    """Write a fitted training size to two digits: more carry no meaning."""
    if not np.isfinite(n) or n <= 0:
        return "any larger size" if n > 0 else "0"
    return f"{float(f'{n:.2g}'):,.0f}" if n < 1e7 else f"{n:.0e}"


def _legend(
    figure: Figure,
    arm_labels: Mapping[str, str],
    laws: pd.DataFrame,
    marked: bool,
    published: Sequence[str],
    points: pd.DataFrame,
    measured: Sequence[str],
) -> int:
    """Place the legends where they hide no data: arms above, below what the marks mean; return the rows of arms."""
    dark, baseline = states.DARK, bool(points["baseline"].notna().any())
    # matplotlib also takes a tuple of artists, drawn on top of each other
    marks: list[Any] = []
    fills, names = states.handles(trained=baseline)
    marks += fills
    if (np.abs(np.log(points["mae_other"] / points["mae"])) > np.log(APART)).any():
        marks.append(Line2D([], [], ls="", marker="_", ms=6, color=dark))
        names.append("the other of last and best, > 20 % apart")
    marks.append(Line2D([], [], ls=":", color=dark, lw=0.9))
    names.append("mean over seeds")
    if laws["fitted"].astype(bool).any():
        marks.append((Patch(color=dark, alpha=0.15, lw=0), Line2D([], [], color=dark, lw=1.4)))
        names.append("fitted law with 95 % band")
    if baseline:
        marks.append(Line2D([], [], ls="--", color=GREY, lw=1.1))
        names.append("geometry-free baseline")
    if marked:
        marks.append(Line2D([], [], ls="-", lw=0.9, marker="o", color="black", mfc="none", ms=8))
        names.append("fitted lines cross, with 95 % interval")
    more = measures.handles(measured, start=bool(points["untouched"].notna().any()))
    marks += more[0]
    names += more[1]
    for arm in published:
        marks.append(Line2D([], [], ls="", marker=PUBLISHED_MARKERS.get(arm, "1"), color=GREY))
        names.append(f"published {arm}: another data set")
    # The lower one is placed first: legends outside the axes stack from the edge inwards.
    columns = 3 if figure.get_figwidth() > 0.8 * style.PAGE and len(names) < 8 else 2
    figure.legend(marks, names, loc="outside lower center", ncols=columns, handlelength=2.4, columnspacing=1.4)
    return legend_of_arms(figure, arm_labels, handlelength=2.4, lw=1.4)
