"""The files of a study that the page is made from, read into plain tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import yaml

T = TypeVar("T")


@dataclass(frozen=True)
class Results:
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
    curves: pd.DataFrame
    laws: pd.DataFrame
    crossover: pd.DataFrame
    multiplier: pd.DataFrame
    forgetting: pd.DataFrame
    errors: pd.DataFrame
    softening: Mapping[str, pd.DataFrame]
    cards: Sequence[dict[str, Any]]
    figures: Mapping[str, Path]  # name -> SVG file; the PNG of the same name lies beside it


def read_results(files: Mapping[str, Any]) -> Results:
    """Read the inputs of the report.

    Args:
        files: name -> path or paths: frames, pairs, summaries, correlations, shifts (one per fidelity or pair, in a
            folder of its name), softening (one per evaluation set, likewise), split, sizes, references,
            reference_errors, curves, laws, crossover, multiplier, forgetting, errors, cards, figures (SVG).
    """
    return Results(
        frames=_by_folder(files["frames"], _json),
        pairs=_by_folder(files["pairs"], _json),
        split=_json(files["split"]),
        sizes=_csv(files["sizes"]),
        analyses=_by_folder(files["summaries"], _json),
        correlations=_by_folder(files["correlations"], _csv),
        shifts=_by_folder(files["shifts"], _csv),
        softening=_by_folder(files["softening"], _csv),
        references=_csv(files["references"]),
        cards=[yaml.safe_load(Path(file).read_text()) for file in files["cards"]],
        figures={Path(file).stem: Path(file) for file in files["figures"]},
        **{
            name: _csv(files[name])
            for name in ("reference_errors", "curves", "laws", "crossover", "multiplier", "forgetting", "errors")
        },
    )


def _json(path: str | Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(path).read_text())
    return content


#: Columns of names and sentences: an empty cell is an empty text, and an arm or size named 'nan' stays a name.
TEXT = (
    *("budget", "arm", "size", "fidelity", "target", "population", "reason", "excluded", "law", "kind"),
    *("better_above", "observed_better_above", "observed_reason", "bound", "scratch", "transfer"),
    *("model", "material", "reading"),
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
