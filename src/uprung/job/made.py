"""How results were made: every job notes its inputs and params below `results/<study>/checksums/made/`.

Snakemake remembers the same in `.snakemake`. Where that is gone, a result whose params have changed looks current to it
("Nothing to be done"); then the notes are compared with what the study asks for, before anything runs.
"""

from __future__ import annotations

import json
import os
import re
from base64 import urlsafe_b64encode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from uprung.job.files import LONGEST, file_name, write_json

FOLDER = "checksums/made"
MEMORY = Path(".snakemake/metadata")
UNFINISHED = Path(".snakemake/incomplete")
CHUNK = 254  # characters of one component of a path in Snakemake's memory
LISTED = 20  # results that a message names


@dataclass(frozen=True)
class Other:
    """A result that another study file, data or code has made, and in what they differ."""

    path: str
    why: str


def note(snakemake: Any) -> None:
    """Write how the outputs of a job were made; nothing where they are no results of a study, or no rule made them."""
    first = Path(next(iter(snakemake.output), ""))
    if first.parts[:1] == ("results",) and len(first.parts) > 2 and hasattr(snakemake, "rule"):
        study, name = first.parts[1], file_name(Path(*first.parts[2:]).as_posix())
        params = dict(snakemake.params.items())
        facts = {"rule": snakemake.rule, **_facts(study, list(snakemake.input), params), "output": str(first)}
        write_json(Path("results", study, FOLDER, f"{name}.json"), facts)


def others(study: str, rules: Iterable[Any], runs: Iterable[str] = ()) -> list[Other]:
    """Return the results that the study would make otherwise, of those that Snakemake does not remember.

    Args:
        study: name of the study; results that were moved to it from another name are compared, too.
        rules: those of Snakemake.
        runs: a result of every run, for which a missing note is a difference.
    """
    asked, notes, found = _Asked(study, rules), _notes(study), list[Other]()
    for path, kept in notes.items():
        if not remembered(path) and os.path.lexists(path) and asked.rule_of(path):
            why = "; ".join(_differences(_kept(kept), asked.facts(path)))
            gone = [each for each in asked.inputs(path) if not os.path.lexists(each)]
            if why or gone:  # Snakemake makes no input of a result that it takes for current
                found.append(Other(path, why or f"made from {gone[0]}, which is gone"))
    for path in (run for run in runs if run not in notes):
        if not remembered(path) and not remembered(path, UNFINISHED) and os.path.lexists(path):
            found.append(Other(path, "nobody noted how it was made"))
    return sorted(found, key=lambda other: other.path)


def refusal(study: str, rules: Iterable[Any], found: list[Other]) -> str:
    """Return what a person is told about such results, and the command that helps."""
    more = [f"  and {len(found) - LISTED} more"] if len(found) > LISTED else []
    doomed = _with_all_below({other.path for other in found}, _Asked(study, rules), list(_notes(study)))
    return "\n".join(
        [
            f"results/{study} was made by another study file, data or code, and Snakemake does not remember how "
            "(.snakemake is new or incomplete), so it would take for current:",
            *(f"  {other.path}: {other.why}" for other in found[:LISTED]),
            *more,
            "To make them anew, delete them and what was made from them, and start the same command again:",
            f"  rm -f {' '.join(doomed)}",
            "To keep them, undo the change, or give this study another name (key `study`)",
        ]
    )


def _with_all_below(first: set[str], asked: _Asked, notes: list[str]) -> list[str]:
    """Return patterns that match some results and all that was made from them, and no other result with a note."""
    there = [path for path in {*notes, *first} if os.path.lexists(path) and asked.rule_of(path)]
    made_from = defaultdict[str, list[str]](list)
    for path in there:
        for each in asked.inputs(path):
            made_from[asked.first_output(each)].append(path)
    doomed, waiting = set[str](), list(first)
    while waiting:
        path = waiting.pop()
        if path not in doomed:
            doomed.add(path)
            waiting += made_from[path]
    patterns = list[str]()
    for name in sorted({asked.rule_of(path).name for path in doomed}):
        own = sorted(path for path in doomed if asked.rule_of(path).name == name)
        parts = zip(*(path.split("/") for path in own), strict=True)
        pattern = "/".join(each[0] if len(set(each)) == 1 else "*" for each in parts)
        spared = any(fnmatch(path, pattern) for path in there if path not in doomed)
        patterns += own if spared else [pattern]
    return patterns


def _notes(study: str) -> dict[str, Path]:
    """Return result -> note of all that have one."""
    folder = Path("results", study, FOLDER)
    return {_result(study, note.name): note for note in folder.iterdir()} if folder.is_dir() else {}


def remembered(path: str, memory: Path = MEMORY) -> bool:
    """Return whether Snakemake has a record of a file; an empty one, which a power cut leaves, is none."""
    key = urlsafe_b64encode(path.encode()).decode()
    parts = [key[k : k + CHUNK] for k in range(0, len(key), CHUNK)]
    try:
        return os.stat(os.path.join(memory, *(f"@{part}" for part in parts[:-1]), parts[-1])).st_size > 0  # noqa: PTH116, PTH118 - of every run, at every start
    except OSError:
        return False


def _result(study: str, name: str) -> str:
    """Return the result that a note is about: its name says it, or, where that would be too long, its content."""
    inside = name.removesuffix(".json")
    if len(inside) == LONGEST:
        stored = _kept(Path("results", study, FOLDER, name)).get("output", inside)
        return str(Path("results", study, *Path(stored).parts[2:]))
    return f"results/{study}/{unquote(inside)}"


def _facts(study: str, inputs: list[str], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs and params as JSON has them, with `<results>` for the folder of the study, which may be renamed."""
    text = json.dumps({"input": inputs, "params": params}, default=str, ensure_ascii=False)
    return dict(json.loads(re.sub(rf"results/{re.escape(study)}(?=[/\"])", "<results>", text)))


class _Asked:
    """What a study asks for: of each result the rule, its inputs and its params."""

    def __init__(self, study: str, rules: Iterable[Any]) -> None:
        self.study, self.rules = study, [rule for rule in rules if rule.script]
        self.rule_of, self._job = cache(self._rule_of), cache(self._expanded)

    def inputs(self, path: str) -> list[str]:
        """Return the inputs of the job that makes a result."""
        return list(map(str, self._job(path)[1]))

    def first_output(self, path: str) -> str:
        """Return the first output of the job that makes a file; the file itself where no job does."""
        return str(self._job(path)[2][0]) if self.rule_of(path) else path

    def facts(self, path: str) -> dict[str, Any]:
        """Return rule, inputs and params of a result, as a note has them."""
        rule, job = self.rule_of(path), self._job(path)
        params = rule.expand_params(*job, None)
        params = params[0] if isinstance(params, tuple) else params
        return {"rule": rule.name, **_facts(self.study, self.inputs(path), dict(params.items()))}

    def _rule_of(self, path: str) -> Any:
        return next((rule for rule in self.rules if rule.is_producer(path)), None)

    def _expanded(self, path: str) -> tuple[Any, Any, Any]:
        from snakemake.jobs import Wildcards

        rule = self.rule_of(path)
        wildcards = Wildcards(fromdict=rule.get_wildcards(path))
        return wildcards, rule.expand_input(wildcards)[0], rule.expand_output(wildcards)[0]


def _kept(note: Path) -> dict[str, Any]:
    """Return what a note says, nothing where it is damaged."""
    try:
        kept = json.loads(note.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) and isinstance(kept.get("params"), dict) else {}


def _differences(kept: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words what differs between two sets of facts."""
    if not {*asked} <= {*kept}:
        yield "the note of how it was made is damaged"
        return
    if kept["rule"] != asked["rule"]:
        yield f"made by {kept['rule']}, now by {asked['rule']}"
    if kept["input"] != asked["input"]:
        changed = sorted({*asked["input"]} ^ {*kept["input"]}) or ["another order"]
        yield f"other inputs: {changed[0]}{f' and {len(changed) - 1} more' if changed[1:] else ''}"
    before, after = _flat(kept["params"]), _flat(asked["params"])
    for key in dict.fromkeys([*before, *after]):
        if _short(before, key, None) != _short(after, key, None):
            shown = f"{_short(before, key)}, now {_short(after, key)}"
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


def _short(values: Mapping[str, Any], key: str, most: int | None = 60) -> str:
    text = json.dumps(values[key], ensure_ascii=False) if key in values else "not given"
    return text if most is None or len(text) <= most else f"{text[: most - 3]}..."
