"""Text for terminals."""

import json
import sys
import unicodedata

import pytest

from app.core.text import printable, printable_json, printable_lines

CONTROLLING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


MOST = 10_000
"""Of 800,000 unassigned characters, as many are tested."""


def of_category(category: str) -> list[str]:
    every = map(chr, range(sys.maxunicode + 1))
    found = [each for each in every if unicodedata.category(each) == category]
    return found[:: len(found) // MOST + 1]


@pytest.mark.parametrize("category", sorted(CONTROLLING))
def test_control_characters_are_replaced(category: str) -> None:
    characters = of_category(category)
    assert characters
    text = "".join(characters)
    assert set(printable(text)) == {"\ufffd"}
    assert set(printable_lines(text)) <= {"\ufffd", "\n", " "}
    shown = printable_json(json.dumps(text, ensure_ascii=False))
    assert shown.isascii()
    assert shown.isprintable()


def test_ordinary_text_is_unchanged() -> None:
    text = "Wie geht's? 東京 🚀 é e\u0301 שלום مرحبا"
    assert printable(text) == printable_lines(text) == printable_json(text) == text


@pytest.mark.parametrize("text", ["\x1b[2J\x9b31m\x7f", "\u202eabc\u2066", "\ud800", "\U000e0001 🚀", "a\r\nb\u2028c"])
def test_escaped_json_has_the_same_value(text: str) -> None:
    assert json.loads(printable_json(json.dumps({"a": text}, ensure_ascii=False))) == {"a": text}


def test_continuation_lines_are_indented() -> None:
    assert printable_lines("one\n2026-11-22 [info] forged\r") == "one\n    2026-11-22 [info] forged\ufffd"
