"""The scan that bounds the cost of parsing a body, before it is parsed."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import BodyTooLarge, InvalidRequest
from app.schemas.json_scan import MAX_DEPTH, JsonScan
from tests.fuzz.bodies import JSON

_TRICKY = st.text(st.sampled_from('a"\\[{,}]:é😀\n'), max_size=20)
_SHAPES = st.recursive(
    st.one_of(_TRICKY, st.integers(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(_TRICKY, inner, max_size=5)),
    max_leaves=20,
)
_INDENTS = st.sampled_from([None, 0, 2])


def count(value: Any) -> int:
    """The number of values in it, itself included."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return 1 + sum(map(count, children))


def is_accepted(data: bytes, max_values: int, cut: int = 0) -> bool:
    scan = JsonScan(max_values)
    try:
        for piece in (data[:cut], data[cut:]):
            scan.feed(piece)
        scan.check()
    except InvalidRequest:
        return False
    return True


@given(_SHAPES, _INDENTS, st.integers(0, 200))
def test_values_are_counted_for_any_strings_and_any_split(value: Any, indent: int | None, cut: int) -> None:
    """An empty object counts as two values."""
    data = json.dumps(value, indent=indent, ensure_ascii=False).encode()
    assert is_accepted(data, 2 * count(value), cut)
    assert not is_accepted(data, count(value) - 1, cut)


@pytest.mark.parametrize("data", [rb'{"a\\":["\"[","\\\"{",1],"":{}}', rb'["\\","[\\\\","{"]'])
def test_strings_are_recognised_for_any_split(data: bytes) -> None:
    def outside(*pieces: bytes) -> bytes:
        scan = JsonScan(100)
        for piece in pieces:
            scan.feed(piece)
        return b"".join(scan._outside_strings)

    whole = outside(data)
    assert whole in {b"{:[,,1],:{}}", b"[,,]"}
    assert {outside(data[:cut], data[cut:]) for cut in range(len(data))} == {whole}
    assert outside(*[data[at : at + 1] for at in range(len(data))]) == whole


@given(JSON, st.integers(0, 200))
def test_numbers_written_by_the_standard_library_are_accepted(value: Any, cut: int) -> None:
    try:
        data = json.dumps(value, allow_nan=False).encode()
    except ValueError:
        assert not is_accepted(json.dumps(value).encode(), 10_000, cut)
    else:
        assert is_accepted(data, 10_000, cut)


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_bytes_are_accepted_or_refused(data: bytes, cut: int) -> None:
    is_accepted(data, 1000, cut)


def test_string_counts_as_one_value() -> None:
    for words in ("[{,", '"', "\\", '\\"', "\\\\", "😀[", "\n"):
        assert is_accepted(json.dumps({"messages": words * 2**19}).encode(), 10)


def test_ten_thousand_messages_are_accepted_and_four_megabytes_of_values_refused() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}] * 10_000
    assert is_accepted(json.dumps({"messages": messages}).encode(), 100_000)
    for item in (b"{}", b"[" * 50 + b"]" * 50, b"1", b'""', b'{"a":1}', b"null", b" [ ] "):
        data = b'{"x":[' + b",".join([item] * (2**22 // (len(item) + 1))) + b"]}"
        assert not is_accepted(data, 40_000)
    assert not is_accepted(b'"' * 2**22, 100_000), "strings without commas, which are no JSON"


def test_too_many_values_are_refused_before_the_body_ends() -> None:
    scan = JsonScan(1000)
    with pytest.raises(BodyTooLarge, match="more than 1000 JSON values"):
        scan.feed(b'{"x":[' + b"1," * 1000)


def test_depth_counts_brackets_outside_of_strings() -> None:
    for depth, accepted in ((MAX_DEPTH, True), (MAX_DEPTH + 1, False), (5000, False)):
        assert is_accepted(b"[" * depth + b"]" * depth, 10_000) is accepted
        assert is_accepted(b'{"x":' * depth + b'"[["' + b"}" * depth, 10_000) is accepted
    assert is_accepted(b"[" + b",".join([b"[[]]"] * 1000) + b"]", 10_000), "many, and not deep"


@pytest.mark.parametrize("text", ["1.2.3e999", "1." * 150, "1" * 200 + "-1"])
def test_text_that_is_no_number_is_left_to_the_parser(text: str) -> None:
    assert is_accepted(b'{"x":[%s]}' % text.encode(), 100)


@pytest.mark.parametrize(
    "number",
    [*("0", "-0.0", "1E5", "1e308", "-1.5e-300", "1e-307", "0e-999", "0.1" + "0" * 300),
     *("1" * 300, "1" * 4299, "-" + "9" * 4299)],
)  # fmt: skip
def test_numbers_within_double_range_are_accepted(number: str) -> None:
    assert is_accepted(b'{"x":[%s]}' % number.encode(), 100)
    _ = msgspec.json.decode(number)  # as the parts of a row are


@pytest.mark.parametrize(
    "number",
    [*("NaN", "Infinity", "-Infinity", "1e309", "-1e999", "1e-999", "0e9999", "1" * 4300, "-" + "1" * 4300),
     "0." + "1" * 5000, "9" * 250 + "e99", "0" * 250 + "." + "0" * 200 + "1e-200"],
)  # fmt: skip
def test_numbers_outside_of_double_range_are_refused(number: str) -> None:
    assert not is_accepted(b'{"x":[%s]}' % number.encode(), 100)
    assert is_accepted(b'{"x":"%s"}' % number.encode(), 100), "in a string it is text"


@given(st.lists(st.sampled_from(["1" * 199, "1" * 4299, "7e9", "-1.5e-300", "0.25", "1e+200"])), st.integers(0, 2**16))
def test_numbers_are_found_wherever_the_pieces_of_a_search_end(numbers: list[str], padding: int) -> None:
    valid = b"[%s%s0]" % (b"0," * (padding // 2), "".join(f"{each}," for each in numbers).encode())
    assert is_accepted(valid, 100_000)
    for invalid in (b"1e999", b"-1e-999", b"1" * 4300):
        assert not is_accepted(valid[:-2] + invalid + b"]", 100_000)
        assert not is_accepted(b"[" + invalid + b"," + valid[1:], 100_000)
