"""The schema and the key list in config/ are those of the code: `make schema`."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from uprung.config.docs import FIRST_STUDY, key_list, schema_text

CONFIG = Path(__file__).parents[3] / "config"
STUDIES = [*sorted(CONFIG.glob("*.yaml")), *sorted(CONFIG.parent.glob("tests/workflow/*.yaml"))]


@pytest.mark.parametrize(("file", "text"), [("schema.json", schema_text), ("README.md", key_list)])
def test_generated_files_are_up_to_date(file, text):
    assert (CONFIG / file).read_text() == text(), f"config/{file} is out of date: run `make schema`"


def problems(study: dict[str, Any]) -> list[str]:
    """Return what the schema finds wrong with a study file."""
    schema = json.loads(schema_text())
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(study)]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_study_files_obey_the_schema(path: Path) -> None:
    assert problems(yaml.safe_load(path.read_text(encoding="utf-8"))) == []


def test_the_schema_has_the_short_forms_and_finds_mistakes_in_them() -> None:
    first = yaml.safe_load(FIRST_STUDY)
    assert problems(first) == []
    assert problems(first | {"data": "solids", "seeds": [4, 5], "epochs": [1, 2]}) == []
    for wrong in ({"data": "dimer"}, {"data": {"low": "a.xyz"}}, {"seeds": 0}, {"steps": "many"}, {"stps": 3}):
        assert problems(first | wrong), wrong
