"""What may reach a terminal."""

import json
import sys
import unicodedata

import pytest

from app.core.printable import printable, printable_json, printable_lines

STEERING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def of_category(category: str) -> list[str]:
    every = map(chr, range(sys.maxunicode + 1))
    return [each for each in every if unicodedata.category(each) == category]


@pytest.mark.parametrize("category", sorted(STEERING))
def test_no_character_of_a_steering_category_is_left(category: str) -> None:
    characters = of_category(category)
    assert characters
    text = "".join(characters)
    assert set(printable(text)) == {"\ufffd"}
    assert set(printable_lines(text)) <= {"\ufffd", "\n", " "}
    shown = printable_json(json.dumps(text, ensure_ascii=False))
    assert shown.isascii()
    assert shown.isprintable()


def test_what_people_write_is_left_as_it_is() -> None:
    text = "Wie geht's? 東京 🚀 é e\u0301 שלום مرحبا"
    assert printable(text) == printable_lines(text) == printable_json(text) == text


@pytest.mark.parametrize("text", ["\x1b[2J\x9b31m\x7f", "\u202eabc\u2066", "\ud800", "\U000e0001 🚀", "a\r\nb\u2028c"])
def test_escaped_json_means_the_same(text: str) -> None:
    assert json.loads(printable_json(json.dumps({"a": text}, ensure_ascii=False))) == {"a": text}


def test_a_line_after_the_first_cannot_pass_for_one_of_ours() -> None:
    assert printable_lines("one\n2026-11-22 [info] forged\r") == "one\n    2026-11-22 [info] forged\ufffd"
