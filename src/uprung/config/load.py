"""Validation of a study file, with messages that name file, key and what is allowed; search for its files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from uprung.config.base import LONGEST_NAME, Section, suggest
from uprung.config.points import PointsStudy
from uprung.config.replaced import replaced_keys
from uprung.config.short import KEYS, as_written, expand
from uprung.config.study import Study


class StudyError(ValueError):
    """The study file asks for something that uprung does not allow; the message names file, key and choices."""


def load_study(
    data: dict[str, Any],
    *,
    where: str = "study file",
    places: Mapping[str, str] | None = None,
    contradictions: Callable[[Study], Iterable[str]] = lambda study: (),
) -> Study | PointsStudy:
    """Validate the content of a study file and expand its short forms.

    A file with the key `points` is a study of given points.

    Args:
        data: parsed YAML.
        where: file name for the message.
        places: file and line of its keys for the message, from `uprung.config.strict_yaml.places`.
        contradictions: messages about what the study asks for and cannot have, as of `uprung.models.registry`.

    Raises:
        StudyError: one message with every problem, each naming file, key and what is allowed.
    """
    kind: type[Study] | type[PointsStudy] = PointsStudy if "points" in data else Study
    try:
        if old := "\n".join(replaced_keys(data)):
            raise ValueError(old)
        expanded, written = (data, {}) if kind is PointsStudy else expand(data)
        study = kind.model_validate(expanded)
        lines = list(contradictions(study)) if isinstance(study, Study) else []
    except ValidationError as error:
        lines = [line for problem in error.errors() for line in _explain(problem, kind).splitlines()]
    except ValueError as error:
        lines, written = str(error).splitlines(), {}
    if lines:
        told = dict.fromkeys(as_written(line, written) for line in lines)
        raise StudyError("\n".join(f"{_place(line, places or {}) or where}: {line}" for line in told))
    return study


def find_file(file: str, folders: Sequence[Path], *, key: str) -> str:
    """Return the first existing path of a file below some folders, relative to the first where possible.

    Raises:
        StudyError: it exists in none of them.
    """
    for folder in folders:
        path = folder / file
        if path.exists():
            return file if folder == folders[0] else str(path)
    looked = " or ".join(str(folder) for folder in dict.fromkeys(folders))
    raise StudyError(f"{key}: file {file!r} does not exist (looked in {looked})")


def _place(line: str, places: Mapping[str, str]) -> str | None:
    """Return file and line of the key that a message begins with, or of the section that it is missing from."""
    key = line.partition(":")[0]
    while key and key not in places:
        key = key.rpartition(".")[0]
    return places.get(key)


def _explain(problem: Any, model: type[Section]) -> str:
    """Turn one pydantic problem into `key: what is wrong (what is allowed)`."""
    location = [part for part in problem["loc"] if part != "[key]"]
    key = ".".join(_shown(part) for part in location)
    kind, value = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        allowed = _keys_at(location[:-1], model)
        return f"{key}: unknown key{suggest(str(location[-1]), allowed)}"
    if kind == "missing":
        return f"{key}: this key is required{' unless `init: random`' if location[-1] == 'references' else ''}"
    if kind == "literal_error":
        expected = problem["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        return f"{key}: {value!r} is not allowed{suggest(str(value), expected)}"
    message = problem["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return f"{key}: {message}" if key and not message.startswith(key) else message
    return f"{key}: {value!r}: {message[0].lower() + message[1:]}"


def _shown(part: object) -> str:
    """Return a part of a key, made printable and short: before validation a name may be any text."""
    text = str(part)
    text = text if text.isprintable() and text else repr(text)
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}..."


def _keys_at(location: list[Any], model: type[Section]) -> list[str]:
    """Return the keys allowed at a place of the study file, read from the JSON schema."""
    schema = model.model_json_schema(by_alias=True)
    node: dict[str, Any] = schema
    for part in location:
        node = _resolve(node, schema)
        node = node.get("properties", {}).get(part) or node.get("additionalProperties") or node.get("items") or {}
    return [*_resolve(node, schema).get("properties", {}), *(KEYS if not location and model is Study else ())]


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = next((part["$ref"] for part in [node, *node.get("anyOf", [])] if "$ref" in part), None)
    return schema["$defs"][reference.rsplit("/", 1)[1]] if reference else node
