from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uprung.job.sealed import seal, unseal

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(PLAIN)
def test_what_is_sealed_is_read_as_it_was(content: object) -> None:
    assert unseal(seal(content)) == content
    assert "\n" not in seal(content)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"energy": 1}', json.dumps({"sha256": "0" * 64, "content": 1})])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        unseal(text)
