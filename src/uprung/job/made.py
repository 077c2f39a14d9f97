"""How results were made: every job notes its inputs and params below `results/<study>/made/`.

Snakemake remembers the same in `.snakemake`. Where that is gone, a result whose params have changed looks current to it
("Nothing to be done"); then the notes are compared with what the study asks for, before anything runs.
"""

from __future__ import annotations

import json
import os
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from uprung.job.files import LONGEST, file_name, write_json

FOLDER = "made"
MEMORY = Path(".snakemake/metadata")
UNFINISHED = Path(".snakemake/incomplete")
CHUNK = 254  # characters of one component of a path in Snakemake's memory
LISTED = 20  # results that a message names


@dataclass(frozen=True)
class Other:
    """A result that another study file, data or code has made: its path, its rule, and in what they differ."""

    path: str
    rule: Any
    why: str


def note(snakemake: Any) -> None:
    """Write how the outputs of a job were made; nothing for a job without a result of a study."""
    first = Path(snakemake.output[0])
    if first.parts[0] == "results" and len(first.parts) > 2:
        study, name = first.parts[1], file_name(Path(*first.parts[2:]).as_posix())
        params = dict(snakemake.params.items())
        facts = {"rule": snakemake.rule, **_facts(study, list(snakemake.input), params), "output": str(first)}
        write_json(Path("results", study, FOLDER, f"{name}.json"), facts)


def others(study: str, rules: Iterable[Any], runs: Iterable[str] = ()) -> Iterator[Other]:
    """Yield the results that the study would make otherwise, of those that Snakemake does not remember.

    Args:
        study: name of the study; results that were moved to it from another name are compared, too.
        rules: those of Snakemake.
        runs: a result of every run, for which a missing note is a difference.
    """
    by_name, folder = {rule.name: rule for rule in rules if rule.script}, Path("results", study)
    notes = {_result(study, note): note for note in _names(folder / FOLDER)}
    for path, name in notes.items():
        if not remembered(path) and os.path.lexists(path):
            kept = json.loads((folder / FOLDER / name).read_text(encoding="utf-8"))
            rule = by_name.get(kept["rule"])
            if rule is None or not rule.is_producer(path):
                rule = next((rule for rule in by_name.values() if rule.is_producer(path)), None)
            if rule is not None and (why := "; ".join(_differences(kept, _asked(study, rule, path)))):
                yield Other(path, rule, why)
    for path in (run for run in runs if run not in notes):
        if not remembered(path) and not remembered(path, UNFINISHED) and os.path.lexists(path):
            rule = next(rule for rule in by_name.values() if rule.is_producer(path))
            yield Other(path, rule, "nobody noted how it was made")


def refusal(study: str, found: list[Other]) -> str:
    """Return what a person is told about such results, and the command that helps."""
    lines = [f"  {other.path}: {other.why}" for other in found[:LISTED]]
    more = [f"  and {len(found) - LISTED} more"] if len(found) > LISTED else []
    patterns = dict.fromkeys(re.sub(r"\{[^}]*\}", "*", str(other.rule.output[0])) for other in found)
    return "\n".join(
        [
            f"results/{study} was made by another study file, data or code, and Snakemake does not remember how "
            "(.snakemake is new or incomplete), so it would take for current:",
            *lines,
            *more,
            "To make them anew, delete them and start the same command again:",
            *(f"  rm {pattern}" for pattern in patterns),
            "To keep them, undo the change, or give this study another name (key `study`)",
        ]
    )


def remembered(path: str, memory: Path = MEMORY) -> bool:
    """Return whether Snakemake has a record of a file; an empty one, which a power cut leaves, is none."""
    key = urlsafe_b64encode(path.encode()).decode()
    parts = [key[k : k + CHUNK] for k in range(0, len(key), CHUNK)]
    try:
        return Path(memory, *(f"@{part}" for part in parts[:-1]), parts[-1]).stat().st_size > 0
    except OSError:
        return False


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


def _result(study: str, name: str) -> str:
    """Return the result that a note is about: its name says it, or, where that would be too long, its content."""
    inside = name.removesuffix(".json")
    if len(inside) == LONGEST:
        stored = json.loads(Path("results", study, FOLDER, name).read_text(encoding="utf-8"))["output"]
        return str(Path("results", study, *Path(stored).parts[2:]))
    return f"results/{study}/{unquote(inside)}"


def _facts(study: str, inputs: list[str], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs and params as JSON has them, with `<results>` for the folder of the study, which may be renamed."""
    text = json.dumps({"input": inputs, "params": params}, default=str, ensure_ascii=False)
    return dict(json.loads(re.sub(rf"results/{re.escape(study)}(?=[/\"])", "<results>", text)))


def _asked(study: str, rule: Any, path: str) -> dict[str, Any]:
    """Return the rule, inputs and params that the study has for a result."""
    from snakemake.jobs import Wildcards

    wildcards = Wildcards(fromdict=rule.get_wildcards(path))
    inputs, outputs = rule.expand_input(wildcards)[0], rule.expand_output(wildcards)[0]
    params = rule.expand_params(wildcards, inputs, outputs, None)
    params = params[0] if isinstance(params, tuple) else params
    return {"rule": rule.name, **_facts(study, list(map(str, inputs)), dict(params.items()))}


def _differences(kept: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words what differs between two sets of facts."""
    if kept["rule"] != asked["rule"]:
        yield f"made by {kept['rule']}, now by {asked['rule']}"
    if kept["input"] != asked["input"]:
        changed = [name for name in asked["input"] if name not in kept["input"]] or ["fewer, or in another order"]
        yield f"other inputs: {', '.join(changed)}"
    before, after = _flat(kept["params"]), _flat(asked["params"])
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            shown = f"{_short(before.get(key))}, now {_short(after.get(key))}"
            yield {"code": "other code"}.get(key, f"{key} {shown}")


def _flat(values: Any, above: str = "") -> dict[str, Any]:
    """Return nested objects with dotted keys."""
    if not isinstance(values, dict) or not values:
        return {above: values}
    return {
        key: value
        for name, inside in values.items()
        for key, value in _flat(inside, f"{above}.{name}".lstrip(".")).items()
    }


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
