"""Text that PostgreSQL can store."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.core.storable import storable

_ANY_TEXT = st.text(st.characters())
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | _ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(_ANY_TEXT, inner),
)


@given(_JSON)
def test_the_result_can_be_encoded_and_has_no_nul(value: Any) -> None:
    text = repr(storable(value))
    text.encode()
    assert "\\x00" not in text.replace("\\\\", "")


@given(st.text())
def test_text_that_can_be_stored_is_left_as_it_is(text: str) -> None:
    assert storable(text) == text.replace("\x00", "\ufffd")


def test_every_character_that_cannot_is_marked() -> None:
    assert storable("\ud83d" + "\ude00") == "😀"
    assert storable({"a\x00": ["\ud800x", {"b": "\udfff"}]}) == {"a\ufffd": ["\ufffdx", {"b": "\ufffd"}]}
