"""YAML of the pages as studies: whole ones as they are, fragments put where they belong into a small study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pages.blocks import ROOT, Block
from pages.commands import rules
from uprung.config.docs import FIRST_STUDY
from uprung.config.load import load_study
from uprung.config.short import PRESETS
from uprung.config.strict_yaml import places
from uprung.models.registry import contradictions

#: First key of a fragment that is no key of a study -> where it stands in one.
PLACES: dict[str, tuple[str, ...]] = {"sources": ("fidelities", "other"), "sets": ("tests", "physics")}
#: A study around the fragments, with what they name.
AROUND = f"""{FIRST_STUDY}
fidelities:
  other: {{functional: r2SCAN, sources: [{{format: elements, file: x}}]}}
  elements-r2scan: {{functional: r2SCAN, sources: [{{format: elements, file: x}}]}}
"""


def check(block: Block, folder: Path) -> None:
    """Read a block as uprung reads study files, or as the file that it is a copy of.

    Raises:
        ValueError: the study file asks for something that is not allowed.
    """
    if block.text == PRESETS.read_text(encoding="utf-8"):
        return
    file = folder / "block.yaml"
    file.write_text(block.text, encoding="utf-8")
    places(file, block.name)  # keys given twice, numbers of another base
    given = yaml.safe_load(block.text)
    if given is None:  # a comment that editors read
        assert (ROOT / "config" / block.text.strip().split("=")[1]).is_file()
    elif "groups" in given:
        assert rules().issuperset(given["groups"]), block.name
        assert set(given["groups"].values()) == set(given["group-components"]), block.name
    else:
        study = given if "study" in given else merged(yaml.safe_load(AROUND), placed(given))
        load_study(study, where=block.name, contradictions=contradictions)


def placed(given: dict[str, Any]) -> dict[str, Any]:
    """Return a fragment below the sections that it belongs to."""
    for section in reversed(PLACES.get(next(iter(given)), ())):
        given = {section: given}
    return given


def merged(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested mappings, the second one over the first."""
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result
