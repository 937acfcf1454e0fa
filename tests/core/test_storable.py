"""Text that PostgreSQL can store."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from app.core.text import storable

_ANY_TEXT = st.text(st.characters())
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | _ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(_ANY_TEXT, inner),
)


@given(_JSON)
def test_result_is_valid_utf8_without_nul(value: Any) -> None:
    text = repr(storable(value))
    text.encode()
    assert "\\x00" not in text.replace("\\\\", "")


@given(st.text())
def test_storable_text_is_unchanged(text: str) -> None:
    assert storable(text) == text.replace("\x00", "\ufffd")


def test_unstorable_characters_are_replaced() -> None:
    assert storable("\ud83d" + "\ude00") == "😀"
    assert storable({"a\x00": ["\ud800x", {"b": "\udfff"}]}) == {"a\ufffd": ["\ufffdx", {"b": "\ufffd"}]}


@given(st.lists(_JSON), st.sampled_from([None, 1]))
def test_nul_escapes_in_raw_json_are_replaced(value: list[Any], indent: int | None) -> None:
    value = json.loads(json.dumps(storable(value)))
    written = json.dumps([value, "\x00 \\x00 \\u0000 \\\\u0000", {"\x00": 1}], indent=indent).encode()
    stored = bytes(storable(Raw(written)))
    assert json.loads(stored) == [value, "\ufffd \\x00 \\u0000 \\\\u0000", {"\ufffd": 1}]


def test_storable_raw_json_is_not_copied() -> None:
    raw = Raw(b'{"a": "\\\\ \xc3\xa9"}')
    assert storable(raw) is raw
