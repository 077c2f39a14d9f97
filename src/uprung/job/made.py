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
from functools import cache
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
    asked = _Asked(study, [rule for rule in rules if rule.script])
    notes = {
        _result(study, note): Path("results", study, FOLDER, note) for note in _names(Path("results", study, FOLDER))
    }
    for path, kept in notes.items():
        if not remembered(path) and os.path.lexists(path):
            facts = asked.of(path)
            why = "; ".join(_differences(json.loads(kept.read_text(encoding="utf-8")), facts)) if facts else ""
            if why and not asked.made_anyway(path):
                yield Other(path, asked.rule_of(path), why)
    for path in (run for run in runs if run not in notes):
        if not remembered(path) and not remembered(path, UNFINISHED) and os.path.lexists(path):
            yield Other(path, asked.rule_of(path), "nobody noted how it was made")


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


class _Asked:
    """What a study asks for: of each result the rule, its inputs and its params."""

    def __init__(self, study: str, rules: list[Any]) -> None:
        self.study, self.rules = study, rules
        self.rule_of, self.made_anyway, self._job = (
            cache(self._rule_of),
            cache(self._made_anyway),
            cache(self._expanded),
        )

    def of(self, path: str) -> dict[str, Any] | None:
        """Return the facts about a result, None where the study has no such result."""
        rule = self.rule_of(path)
        if rule is None:
            return None
        wildcards, inputs = self._job(path)
        params = rule.expand_params(wildcards, inputs, rule.expand_output(wildcards)[0], None)
        params = params[0] if isinstance(params, tuple) else params
        return {"rule": rule.name, **_facts(self.study, list(map(str, inputs)), dict(params.items()))}

    def _rule_of(self, path: str) -> Any:
        return next((rule for rule in self.rules if rule.is_producer(path)), None)

    def _expanded(self, path: str) -> tuple[Any, Any]:
        from snakemake.jobs import Wildcards

        rule = self.rule_of(path)
        wildcards = Wildcards(fromdict=rule.get_wildcards(path))
        return wildcards, rule.expand_input(wildcards)[0]

    def _made_anyway(self, path: str) -> bool:
        """Return whether Snakemake makes a result without being told: something on the way to it is not there."""
        if not os.path.lexists(path):
            return True
        return self.rule_of(path) is not None and any(self.made_anyway(str(each)) for each in self._job(path)[1])


def _differences(kept: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words what differs between two sets of facts."""
    if kept["rule"] != asked["rule"]:
        yield f"made by {kept['rule']}, now by {asked['rule']}"
    if kept["input"] != asked["input"]:
        changed = sorted({*asked["input"]} ^ {*kept["input"]}) or ["another order"]
        yield f"other inputs: {changed[0]}{f' and {len(changed) - 1} more' if changed[1:] else ''}"
    before, after = _flat(kept["params"]), _flat(asked["params"])
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            shown = f"{_short(before.get(key))}, now {_short(after.get(key))}"
            yield {"code": "other code", "data": "other data files"}.get(key, f"{key} {shown}")


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
