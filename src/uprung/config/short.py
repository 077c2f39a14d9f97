"""Short forms of the study file: presets, own files, lists of steps. They are expanded before validation.

`expand` returns the sections that a study file stands for. What stands in a section beside a short form takes
precedence, so that a preset can be varied. Messages about expanded keys name what the user wrote (`as_written`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import yaml

from uprung.config.architectures import expand_architectures
from uprung.config.base import suggest
from uprung.config.data import Fidelity, Source
from uprung.config.formats import FORMATS

PRESETS = Path(__file__).with_name("presets.yaml")
KEYS = ("data", "steps", "epochs")  # of a study file, beside its sections
PAIR = "low-high"  # name of the pair of `data: {low: …, high: …}`
FUNCTIONALS = {"low": "PBE", "high": "r2SCAN"}
COMPRESSED = {".gz", ".bz2", ".xz"}

#: Section or key that a short form was expanded to -> key that the user wrote.
Written = dict[str, str]


@cache
def presets() -> dict[str, dict[str, Any]]:
    """Return the presets of `data`, `tests.softening.sets` (`sets`) and `tests.physics.sets` (`physics`), by name."""
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(PRESETS.read_text(encoding="utf-8"))
    return loaded


def expand(data: Mapping[str, Any]) -> tuple[dict[str, Any], Written]:
    """Return a study file without short forms, and which keys the user wrote for the expanded ones.

    Raises:
        ValueError: a short form cannot be expanded; one line per problem.
    """
    study, written, problems = dict(data), Written(), list[str]()
    for step in (_data, _lengths, _sets, expand_architectures):
        problems += step(study, written)
    if problems:
        raise ValueError("\n".join(problems))
    pairs, transfer = study.get("pairs"), study.get("transfer", {})
    if isinstance(pairs, dict) and len(pairs) == 1 and isinstance(transfer, dict):
        study["transfer"] = {"pair": next(iter(pairs)), **transfer}
    if "fidelities" not in study:
        written |= dict.fromkeys(("fidelities", "pairs", "transfer"), "data")
    elif "pairs" not in study:
        written["transfer"] = "pairs"
    return study, written


def as_written(line: str, written: Written) -> str:
    """Return a message that begins with an expanded key, with the key that the user wrote in its place."""
    for key in sorted(written, key=len, reverse=True):
        if line.startswith((f"{key}.", f"{key}:")):
            return written[key] + line.removeprefix(key)
    return line


def format_of(file: str) -> str | None:
    """Return the source format that a file name suggests; None if it suggests none. A folder is one of VASP runs."""
    path = PurePath(file)
    suffixes = [suffix for suffix in path.suffixes if suffix not in COMPRESSED]
    if "vasprun" in path.name or not suffixes:
        return "vasprun"
    return next((name for name, known in FORMATS.items() if suffixes[-1] in known.suffixes), None)


def _data(study: dict[str, Any], written: Written) -> Iterator[str]:
    """Expand `data`, a preset or two files, to fidelities, pair, transfer and split."""
    if "data" not in study:
        return
    data, names = study.pop("data"), list(presets()["data"])
    if isinstance(data, dict):
        sides = {}
        for side in ("low", "high"):
            if side not in data:
                yield f"data.{side}: this key is required (a file, or `{{file: …, functional: …, label_scale: …}}`)"
                continue
            sides[side] = yield from _side(side, data[side], written)
        sections = {
            "fidelities": sides,
            "pairs": {PAIR: {**data, "low": "low", "high": "high"}},
            "transfer": {"pair": PAIR},
        }
        written |= {f"pairs.{PAIR}": "data"}
    elif isinstance(data, str) and data in names:
        sections = presets()["data"][data]
    else:
        yield f"data: {data!r} is neither `{{low: <file>, high: <file>}}` nor a preset{suggest(str(data), names)}"
        return
    study |= {key: _merged(section, study.get(key)) for key, section in sections.items()}


def _side(side: str, given: Any, written: Written) -> Generator[str, None, dict[str, Any]]:
    """Return the fidelity that one side of `data` stands for; yield what is wrong with it."""
    options = {"file": given} if isinstance(given, str) else given
    keys = {*Source.model_fields, *Fidelity.model_fields}
    if not isinstance(options, dict):
        yield f"data.{side}: {given!r} is neither a file nor `{{file: …, functional: …, label_scale: …}}`"
        return {}
    for key in options.keys() - keys:
        yield f"data.{side}.{key}: unknown key{suggest(str(key), sorted(keys))}"
    fidelity = {"functional": FUNCTIONALS[side]} | {k: v for k, v in options.items() if k in Fidelity.model_fields}
    source = {k: v for k, v in options.items() if k in Source.model_fields}
    written |= {f"fidelities.{side}": f"data.{side}", f"fidelities.{side}.sources.0": f"data.{side}"}
    if isinstance(source.get("file"), str):
        guessed = source.setdefault("format", format_of(source["file"]))
        if guessed is None:
            yield (
                f"data.{side}.format: cannot be told from the name {source['file']!r}; write "
                f"`{{file: {source['file']}, format: …}}` (allowed: {', '.join(FORMATS)})"
            )
        elif guessed in FORMATS and FORMATS[guessed].label_scale == "needed":
            source.setdefault("label_scale", f"not stated ({source['file']})")
    return fidelity | ({"sources": [source]} if source else {})


def _lengths(study: dict[str, Any], written: Written) -> Iterator[str]:
    """Expand `steps: 2000` or `epochs: [50, 100]` to budgets."""
    budgets = {}
    for kind in ("steps", "epochs"):
        given = study.pop(kind, [])
        for length in given if isinstance(given, list) else [given]:
            if type(length) is not int or length < 1:
                yield f"{kind}: {length!r} is not a number of {kind}: give one (2000), or a list of them"
                continue
            budgets[f"{kind}{length}"] = {kind: length}
            written[f"budgets.{kind}{length}"] = kind
    if budgets:
        study["budgets"] = _merged(budgets, study.get("budgets"))
    elif "budgets" not in study:
        written["budgets"] = "steps"


def _sets(study: dict[str, Any], written: Written) -> Iterator[str]:
    """Expand a list of presets and own sets in `tests.softening.sets` and `tests.physics.sets`."""
    for test, known in (("softening", presets()["sets"]), ("physics", presets()["physics"])):
        tests = study.get("tests")
        section = tests.get(test) if isinstance(tests, dict) else None
        given = section.get("sets") if isinstance(section, dict) else None
        if not isinstance(given, list):
            continue
        sets = dict[str, Any]()
        for entry in given:
            if isinstance(entry, dict):
                sets |= _varied(entry, known) if test == "physics" else entry
            elif isinstance(entry, str) and entry in known:
                sets |= known[entry]
            else:
                yield f"tests.{test}.sets: {entry!r} is no preset{suggest(str(entry), list(known))}"
        study["tests"] = {**study["tests"], test: {**study["tests"][test], "sets": sets}}


def _varied(entry: dict[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return own sets of `tests.physics`; one with the name of a preset and no files is the preset, varied."""
    return {
        name: known[name][name] | options
        if name in known and isinstance(options, dict) and "files" not in options
        else options
        for name, options in entry.items()
    }


def _merged(default: Any, given: Any) -> Any:
    """Return a section of a short form, with what the study file says about the same keys in its place."""
    if given is None:
        return default
    if not isinstance(default, dict) or not isinstance(given, dict):
        return given
    return default | {key: _merged(default.get(key), value) for key, value in given.items()}
