"""The files of a study that the page is made from, read into plain tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from uprung.config.study import Study
from uprung.frames.csv import read_table
from uprung.report.captions import LAW_FIGURES, figures_of
from uprung.report.catalogue import FILES, POINTS, ResultFile, wildcards


@dataclass(frozen=True)
class LawResults:
    """Tables of learning curves and their laws, named as in the catalogue; figures: name -> SVG file."""

    curves: pd.DataFrame
    laws: pd.DataFrame
    laws_all: pd.DataFrame
    parameters: pd.DataFrame
    comparison: pd.DataFrame
    failed: pd.DataFrame
    sensitivity: pd.DataFrame
    back_test: pd.DataFrame
    joint: pd.DataFrame
    bands: pd.DataFrame
    crossover: pd.DataFrame
    multiplier: pd.DataFrame
    multiplier_curve: pd.DataFrame
    labels: pd.DataFrame
    extrapolation: pd.DataFrame
    figures: Mapping[str, Path]


@dataclass(frozen=True)
class PointsResults(LawResults):
    """What a study of given points has, with the rows that no curve can have."""

    left_out: pd.DataFrame


@dataclass(frozen=True)
class StudyResults(LawResults):
    """What the stages of a study wrote; keys of the mappings are fidelities, pairs, evaluation sets."""

    frames: Mapping[str, dict[str, Any]]
    pairs: Mapping[str, dict[str, Any]]
    split: dict[str, Any]
    sizes: pd.DataFrame
    analyses: Mapping[str, dict[str, Any]]
    correlations: Mapping[str, pd.DataFrame]
    shifts: Mapping[str, pd.DataFrame]
    references: pd.DataFrame
    reference_errors: pd.DataFrame
    teachers: Mapping[str, dict[str, Any]]
    fisher: Mapping[str, dict[str, Any]]
    second: pd.DataFrame
    yardsticks: pd.DataFrame
    rates: Mapping[str, pd.DataFrame]
    forgetting: pd.DataFrame
    errors: pd.DataFrame
    worst: pd.DataFrame
    holes: Mapping[str, pd.DataFrame]
    evalsets: Mapping[str, dict[str, Any]]
    evalsets_left_out: Mapping[str, dict[str, Any]]
    softening: Mapping[str, pd.DataFrame]
    corrections: Mapping[str, pd.DataFrame]
    physics: Mapping[str, pd.DataFrame]
    cards: Sequence[dict[str, Any]]


def read_results(folder: Path, study: Study) -> StudyResults:
    """Read all that the page of a study shows.

    Args:
        folder: results of the study.
        study: the study file.
    """
    read = {name: _read(folder, entry, study) for name, entry in FILES.items() if entry.read}
    return StudyResults(**read, figures=_figures(folder, figures_of(study)))


def read_points_results(folder: Path) -> PointsResults:
    """Read all that the page of a study of given points shows."""
    read = {name: _content(folder / entry.file, entry) for name, entry in POINTS.items()}
    return PointsResults(**read, figures=_figures(folder, LAW_FIGURES))


def where(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    """Return the rows with the given values in the columns of these names."""
    for column, value in values.items():
        table = table[table[column] == value]
    return table


def is_true(value: object) -> bool:
    """Return whether a cell says yes, read from a file or in memory."""
    return str(value) in ("True", "1", "1.0")


def _figures(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    return {name: folder / f"figures/{name}.svg" for name in names}


def _read(folder: Path, entry: ResultFile, study: Study) -> Any:
    """Return the content of a file; of one per name, name -> content; of one per run, a list."""
    found = [(list(names.values()), entry.file.format(**names)) for names in wildcards(entry.file, study)]
    contents = [_content(folder / file, entry) for _, file in found]
    keys = entry.file.count("{")
    if keys == 1:
        return {names[0]: content for (names, _), content in zip(found, contents, strict=True)}
    return contents if keys else contents[0]


def _content(path: Path, entry: ResultFile) -> Any:
    if path.suffix == ".csv":
        return read_table(path, entry.text)
    return (yaml.safe_load if path.suffix == ".yaml" else json.loads)(path.read_text(encoding="utf-8"))
