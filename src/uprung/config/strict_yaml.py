"""The study file read once more, for what YAML reads as something else than it says, and for the lines of its keys.

Snakemake has read the file by then, with a loader that lets the last of two equal keys win and takes 0100 for 64.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from uprung.config.load import StudyError

_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE)
_KIND = "tag:yaml.org,2002:"
#: Values of a study file.
MOST = 100_000
#: What YAML may take a name for.
_NO_TEXTS = {"bool": "true or false", "int": "a number", "float": "a number", "null": "nothing", "timestamp": "a date"}


def places(file: str | Path, shown: str) -> dict[str, str]:
    """Return where every key of a study file stands: `arms.scratch.init` -> `study.yaml, line 12`.

    Args:
        file: the study file.
        shown: its name in messages.

    Raises:
        StudyError: a key is given twice, or a value is not what it looks like; one line per problem.
    """
    try:
        root = yaml.compose(Path(file).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        where = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        raise StudyError(f"{shown}{where}: no YAML: {error.problem}") from None
    if root and (size := _size(root, {})) > MOST:
        what = "an anchor stands within itself" if size == math.inf else f"its anchors stand for {size:,.0f} values"
        raise StudyError(f"{shown}: {what} (allowed: {MOST:,} values once all anchors are written out)")
    found, problems = dict[str, str](), list[str]()
    for key, line, problem in _walk(root, "", set()) if root else ():
        place = f"{shown}, line {line}"
        found.setdefault(key, place)
        if problem:
            problems.append(f"{place}: {key}: {problem}")
    if problems:
        raise StudyError("\n".join(problems))
    return found


def _size(node: Node, known: dict[int, float]) -> float:
    """Return how many values a node has once its anchors are written out; infinity where one stands within itself."""
    if id(node) not in known:
        known[id(node)] = math.inf  # until all within it is known
        pairs = node.value if isinstance(node, MappingNode) else ()
        entries = node.value if isinstance(node, SequenceNode) else [each for pair in pairs for each in pair]
        known[id(node)] = 1 + sum(_size(entry, known) for entry in entries)
    return known[id(node)]


def _walk(node: Node, key: str, seen: set[int]) -> Iterator[tuple[str, int, str]]:
    """Yield (dotted key, line, what is wrong or "") of a node and all below it; an anchored one counts once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    line = node.start_mark.line + 1
    if isinstance(node, ScalarNode):
        yield key, line, _misread(node)
    elif isinstance(node, SequenceNode):
        yield key, line, ""
        for k, entry in enumerate(node.value):
            yield from _walk(entry, f"{key}.{k}".strip("."), seen)
    elif isinstance(node, MappingNode):
        if key:
            yield key, line, ""
        lines = dict[str, int]()
        for name, value in node.value:
            merged = name.tag == f"{_KIND}merge"
            own, at = f"{key}.{name.value}".strip("."), name.start_mark.line + 1
            wrong = _misread(name)
            if kind := _NO_TEXTS.get(name.tag.removeprefix(_KIND)):
                wrong = f"YAML reads {name.value} as {kind}; a key is a text: write '{name.value}' in quotes"
            elif name.value in lines:
                wrong = f"given twice, first in line {lines[name.value]}; the first would be ignored: keep one of them"
                wrong = f"{wrong}, or write <<: [*a, *b]" if merged else wrong
            lines.setdefault(str(name.value), at)
            if wrong or not merged:
                yield own, at, wrong
            yield from _walk(value, key if merged else own, seen)


def _misread(node: Node) -> str:
    """Return what is wrong with a number that YAML reads as another one than it says; "" if nothing is."""
    text, kind = str(node.value), node.tag.removeprefix(_KIND)
    if kind == "timestamp":
        return f"YAML reads {text} as a date; write '{text}' for a text"
    if kind not in ("int", "float"):
        return ""
    if _NOT_FINITE.fullmatch(text):
        return f"{text} is no usable number (allowed: finite numbers; null or no key where there is no limit)"
    base = "octal" if _OCTAL.fullmatch(text) else "base 60" if _BASE_60.fullmatch(text) else None
    if base is None:
        return ""
    meant = f"{text.lstrip('-+0_') or '0'} or " if base == "octal" else ""
    value = yaml.safe_load(text)
    return f"YAML reads {text} as {base}, that is {value}; write {meant}{value} for a number, '{text}' for a text"
