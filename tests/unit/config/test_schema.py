"""The schema and the key list in config/ are those of the code: `make schema`."""

from pathlib import Path

import pytest

from uprung.config.docs import key_list, schema_text

CONFIG = Path(__file__).parents[3] / "config"


@pytest.mark.parametrize(("file", "text"), [("schema.json", schema_text), ("README.md", key_list)])
def test_generated_files_are_up_to_date(file, text):
    assert (CONFIG / file).read_text() == text(), f"config/{file} is out of date: run `make schema`"
