"""JSON without its strings: it shows what parsing would cost, and is read while a body arrives."""

import math
import re
from itertools import accumulate

from app.core.errors import BodyTooLarge, InvalidRequest

MAX_DEPTH = 64
_MAX_EXPONENT_DIGITS = 4
_MAX_DIGITS = 4300  # as many as Python's int() takes; PostgreSQL's numeric takes more
_PIECE_BYTES = 2**16
"""Read at a time: under a millisecond, whatever it holds. Other threads and the event loop may run in between."""
_SPACE = b" \t\r\n"
_OPENS_AND_CLOSES = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))
_NO_NUMBER = re.compile(rb"NaN|Infinity")
_DOUBTFUL = re.compile(rb"[0-9.]{200}[0-9.eE+-]*|[0-9][0-9.]*[eE][+-]?[0-9]{3,}")
"""Whatever is shorter is in the range of a double."""
TOO_DEEP = f"the body is nested more than {MAX_DEPTH} levels deep"


class Skeleton:
    """Is fed a body in pieces of any size; UTF-8 may be cut anywhere.

    A value follows each `[`, `{` and `,` at the most, and the first one nothing: so many can a body hold.
    """

    def __init__(self, max_values: int) -> None:
        self._max_values = max_values
        self._values = 1
        self._quotes = 0
        self._in_string = False
        self._backslash = b""  # the last byte of a piece: what it escapes is in the next one
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Raises BodyTooLarge as soon as there are too many values."""
        for start in range(0, len(data), _PIECE_BYTES):
            self._read(self._backslash + data[start : start + _PIECE_BYTES])

    def _read(self, piece: bytes) -> None:
        backslashes = len(piece) - len(piece.rstrip(b"\\"))
        self._backslash = b"\\" if backslashes % 2 else b""
        # Without escaped backslashes and escaped quotes, each quote that is left begins or ends a string.
        piece = piece.removesuffix(self._backslash).replace(b"\\\\", b"").replace(b'\\"', b"")
        self._quotes += (quotes := piece.count(b'"'))
        if self._quotes > 4 * self._max_values:  # each value has a name at the most, and both have two
            raise self._too_many()
        outside = b"".join(piece.split(b'"')[self._in_string :: 2]).translate(None, _SPACE)
        self._in_string ^= bool(quotes % 2)
        self._values += outside.count(b"[") + outside.count(b"{") + outside.count(b",")
        if self._values > self._max_values:
            raise self._too_many()
        self._pieces.append(outside)

    def check(self) -> None:
        """Of a body that is whole: raises InvalidRequest if it is nested too deep, or holds a number that is none."""
        outside = b"".join(self._pieces)
        if outside.count(b"[") + outside.count(b"{") > MAX_DEPTH and _depth(outside) > MAX_DEPTH:
            raise InvalidRequest(TOO_DEEP)
        if _NO_NUMBER.search(outside) or not all(map(_is_good, _DOUBTFUL.findall(outside))):
            raise InvalidRequest(
                "the body holds a number that is none in JSON (NaN, Infinity), is beyond the range of a double "
                f"(1e999), or has more than {_MAX_DIGITS} digits"
            )

    def _too_many(self) -> BodyTooLarge:
        return BodyTooLarge(f"the body holds more than {self._max_values} JSON values; send fewer")


def _depth(outside: bytes) -> int:
    """0 if not all that is opened is closed: that is no JSON, however deep."""
    steps = outside.translate(_OPENS_AND_CLOSES, _NO_BRACKETS)
    is_closed = 2 * steps.count(_OPENS_AND_CLOSES[b"["[0]]) == len(steps)
    return max(accumulate(memoryview(steps).cast("b"))) if is_closed else 0


def _is_good(number: bytes) -> bool:
    """An integer may be larger than a double; what is no number at all is the parser's business."""
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
