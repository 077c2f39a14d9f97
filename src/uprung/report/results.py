"""The files of a study that the page is made from, read into plain tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import yaml

T = TypeVar("T")


@dataclass(frozen=True)
class LawResults:
    """Plain tables of learning curves and their laws, and figures: name -> SVG file, its PNG beside it."""

    curves: pd.DataFrame
    laws: pd.DataFrame
    parameters: pd.DataFrame
    comparison: pd.DataFrame
    bands: pd.DataFrame
    crossover: pd.DataFrame
    multiplier: pd.DataFrame
    multiplier_curve: pd.DataFrame
    labels: pd.DataFrame
    extrapolation: pd.DataFrame
    figures: Mapping[str, Path]


LAW_TABLES = tuple(field.name for field in fields(LawResults) if field.name != "figures")


@dataclass(frozen=True)
class Results(LawResults):
    """Plain tables, as the stages of a study wrote them; keys of the mappings are fidelities, pairs, figure names."""

    frames: Mapping[str, dict[str, Any]]
    pairs: Mapping[str, dict[str, Any]]
    split: dict[str, Any]
    sizes: pd.DataFrame
    analyses: Mapping[str, dict[str, Any]]
    correlations: Mapping[str, pd.DataFrame]
    shifts: Mapping[str, pd.DataFrame]
    references: pd.DataFrame
    reference_errors: pd.DataFrame
    forgetting: pd.DataFrame
    errors: pd.DataFrame
    evalsets: Mapping[str, dict[str, Any]]
    evalsets_left_out: Mapping[str, dict[str, Any]]
    softening: Mapping[str, pd.DataFrame]
    corrections: Mapping[str, pd.DataFrame]
    cards: Sequence[dict[str, Any]]


def read_results(files: Mapping[str, Any]) -> Results:
    """Read the inputs of the report.

    Args:
        files: name -> path or paths: frames, pairs, summaries, correlations, shifts (one per fidelity or pair, in a
            folder of its name), evalsets (manifests of frames, below it), evalsets_left_out, softening and corrections
            (one per evaluation set, likewise), split, sizes, references,
            reference_errors, forgetting, errors, cards, and those of `read_law_results`.
    """
    return Results(
        frames=_by_folder(files["frames"], _json),
        pairs=_by_folder(files["pairs"], _json),
        split=_json(files["split"]),
        sizes=_csv(files["sizes"]),
        analyses=_by_folder(files["summaries"], _json),
        correlations=_by_folder(files["correlations"], _csv),
        shifts=_by_folder(files["shifts"], _csv),
        evalsets={Path(file).parents[1].name: _json(file) for file in files["evalsets"]},
        evalsets_left_out=_by_folder(files["evalsets_left_out"], _json),
        softening=_by_folder(files["softening"], _csv),
        corrections=_by_folder(files["corrections"], _csv),
        references=_csv(files["references"]),
        cards=[yaml.safe_load(Path(file).read_text()) for file in files["cards"]],
        reference_errors=_csv(files["reference_errors"]),
        forgetting=_csv(files["forgetting"]),
        errors=_csv(files["errors"]),
        **_law_tables(files),
    )


def read_law_results(files: Mapping[str, Any]) -> LawResults:
    """Read the tables of `LAW_TABLES` by their names, and figures (SVG)."""
    return LawResults(**_law_tables(files))


def _law_tables(files: Mapping[str, Any]) -> dict[str, Any]:
    figures = {Path(file).stem: Path(file) for file in files["figures"]}
    return {"figures": figures} | {name: _csv(files[name]) for name in LAW_TABLES}


def _json(path: str | Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(path).read_text())
    return content


#: Columns of names and sentences: an empty cell is an empty text, and an arm or size named 'nan' stays a name.
TEXT = (
    *("budget", "arm", "size", "fidelity", "target", "population", "reason", "excluded", "law", "kind"),
    *("better_above", "observed_better_above", "observed_reason", "bound", "scratch", "transfer"),
    *("title", "interval", "parameter", "law_scratch", "law_transfer"),
    *("model", "material", "reading", "method"),
    *("element", "quantity", "unit", "subset", "origin", "estimator", "reference", "scope", "by", "key"),
)


def _csv(path: str | Path) -> pd.DataFrame:
    table = pd.read_csv(path, keep_default_na=False, dtype=dict.fromkeys(TEXT, str), na_values=_missing(path))
    return table.assign(**{name: table[name].fillna("") for name in TEXT if name in table})


def _missing(path: str | Path) -> dict[str, list[str]]:
    """Empty cells are missing numbers in every column that does not hold text."""
    columns = pd.read_csv(path, nrows=0).columns
    return {name: ["", "nan"] for name in columns if name not in TEXT}


def _by_folder(paths: Sequence[str], read: Callable[[str], T]) -> dict[str, T]:
    return {Path(path).parent.name: read(path) for path in paths}
