"""Scans JSON while it arrives: limits the number of values and the depth, and finds invalid numbers, before parsing.

The time and memory of parsing depend on the number of values more than on the bytes (`max_body_values`).
"""

import math
import re
from collections.abc import Iterator
from itertools import accumulate

from app.core.errors import BodyTooLarge, InvalidRequest

MAX_DEPTH = 64
_MAX_EXPONENT_DIGITS = 4
"""The exponent of a zero must be shorter: PostgreSQL's numeric rejects `0e-99999`. Other numbers must fit a double."""
_MAX_DIGITS = 4299  # with a sign, as many characters as the parsers take; PostgreSQL's numeric takes more
_PIECE_BYTES = 2**16
"""The piece that is scanned at a time. Larger ones would need several times their size in memory."""
_SPACE = b" \t\r\n"
_OPENS_AND_CLOSES = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))
_LONG_NUMBER = re.compile(rb"(?<![0-9.eE+])(?:[0-9.]{200}[0-9.eE+-]*+|[0-9][0-9.]*+[eE][+-]?[0-9]{3,}+)")
"""Matches the numbers that may be too long, or out of the range of a double. A search begins at the start of a number
only, and never goes back: other patterns took seconds for numbers of 199 digits."""
_REST_OF_NUMBER = re.compile(rb"[0-9.eE+-]*+")
TOO_DEEP = f"the body is nested more than {MAX_DEPTH} levels deep"


class JsonScan:
    """Scans a body in pieces of any size, with its strings left out. UTF-8 may be split anywhere.

    The number of values is at most one more than the number of `[`, `{` and `,` outside strings.
    """

    def __init__(self, max_values: int) -> None:
        self._max_values = max_values
        self._values = 1
        self._quotes = 0
        self._in_string = False
        self._backslash = b""  # at the end of a piece: the escaped byte is in the next one
        self._outside_strings: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Scans a piece. Raises BodyTooLarge as soon as there are too many values."""
        for start in range(0, len(data), _PIECE_BYTES):
            self._scan(self._backslash + data[start : start + _PIECE_BYTES])

    def _scan(self, piece: bytes) -> None:
        backslashes = len(piece) - len(piece.rstrip(b"\\"))
        self._backslash = b"\\" if backslashes % 2 else b""
        # Without escaped backslashes and escaped quotes, each remaining quote starts or ends a string.
        piece = piece.removesuffix(self._backslash).replace(b"\\\\", b"").replace(b'\\"', b"")
        self._quotes += (quotes := piece.count(b'"'))
        if self._quotes > 4 * self._max_values:  # a value and its name have two quotes each
            raise self._too_many()
        outside = b"".join(piece.split(b'"')[self._in_string :: 2]).translate(None, _SPACE)
        self._in_string ^= bool(quotes % 2)
        self._values += outside.count(b"[") + outside.count(b"{") + outside.count(b",")
        if self._values > self._max_values:
            raise self._too_many()
        self._outside_strings.append(outside)

    def check(self) -> None:
        """Checks a complete body. Raises InvalidRequest if it is nested too deep or has an invalid number."""
        outside = b"".join(self._outside_strings)
        if outside.count(b"[") + outside.count(b"{") > MAX_DEPTH and _depth(outside) > MAX_DEPTH:
            raise InvalidRequest(TOO_DEEP)
        if b"NaN" in outside or b"Infinity" in outside or not all(map(_is_valid, _long_numbers(outside))):
            raise InvalidRequest(
                "the body has a number that is not valid in JSON (NaN, Infinity), is beyond the range of a double "
                f"(1e999), or has more than {_MAX_DIGITS} digits"
            )

    def _too_many(self) -> BodyTooLarge:
        return BodyTooLarge(f"the body has more than {self._max_values} JSON values; send fewer")


def _depth(outside: bytes) -> int:
    """The depth, or 0 if a bracket is not closed: that is not JSON."""
    steps = outside.translate(_OPENS_AND_CLOSES, _NO_BRACKETS)
    all_closed = 2 * steps.count(_OPENS_AND_CLOSES[b"["[0]]) == len(steps)
    return max(accumulate(memoryview(steps).cast("b"))) if all_closed else 0


def _long_numbers(outside: bytes) -> Iterator[bytes]:
    """Searches in pieces: during each search no other thread runs."""
    start = 0
    while start < len(outside):
        rest = _REST_OF_NUMBER.match(outside, start + _PIECE_BYTES)
        end = rest.end() if rest else len(outside)
        yield from _LONG_NUMBER.findall(outside, start, end)
        start = end


def _is_valid(number: bytes) -> bool:
    """Accepts integers beyond a double, and text that is not a number, which the parser refuses."""
    if len(number) > _MAX_DIGITS:
        return False
    if number.isdigit():
        return True
    try:
        value = float(number)
    except ValueError:
        return True
    mantissa, _, exponent = number.lower().partition(b"e")
    is_zero = not mantissa.strip(b"0.") and len(exponent.lstrip(b"+-0")) < _MAX_EXPONENT_DIGITS
    return math.isfinite(value) and (value != 0 or is_zero)
