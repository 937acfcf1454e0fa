"""Makes a PNG small. A page has few colours, so that a byte a pixel does: those that are rare become their neighbours.

What the bytes mean stands in the PNG specification, https://www.w3.org/TR/png-3/.
"""

import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain

Colour = tuple[int, int, int]
Row = list[Colour]
Buffer = bytes | bytearray
Expected = Callable[[int, int, int], int]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = 3
_MOST_COLOURS = 256


def smaller(png: bytes) -> bytes:
    """The same picture in 256 colours; `png` has a byte each for red, green and blue, as Chromium writes it."""
    chunks = list(_chunks(png))
    (header,) = (body for kind, body in chunks if kind == b"IHDR")
    width, height, *form = struct.unpack(">IIBBBBB", header)
    if form != [8, 2, 0, 0, 0]:
        raise ValueError(f"a picture of another form: {form}")
    rows = _rows(zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT")), width * _CHANNELS)
    return _with_palette(rows, width, height)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        yield kind, png[at + 8 : at + 8 + length]
        at += 12 + length


def _rows(filtered: bytes, length: int) -> list[Row]:
    """Each begins with the filter that its bytes went through; the first has nothing above it."""
    above: Buffer = bytes(length)
    rows: list[Row] = []
    for start in range(0, len(filtered), length + 1):
        line = bytearray(filtered[start + 1 : start + 1 + length])
        for channel in range(_CHANNELS):
            line[channel::3] = _unfiltered(_EXPECTED[filtered[start]], line[channel::3], above[channel::3])
        rows.append(list(zip(line[0::3], line[1::3], line[2::3], strict=True)))
        above = line
    return rows


def _unfiltered(expected: Expected | None, line: Buffer, above: Buffer) -> Buffer:
    """A byte says how far it is from what was to be expected, by the one before it and the two above these."""
    if expected is None:
        return line
    left, corner, found = 0, 0, bytearray()
    for byte, up in zip(line, above, strict=True):
        left = (byte + expected(left, up, corner)) & 255
        corner = up
        found.append(left)
    return found


def _paeth(left: int, up: int, corner: int) -> int:
    """Whichever is nearest to left + up - corner."""
    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner


_EXPECTED: tuple[Expected | None, ...] = (
    None,
    lambda left, _up, _corner: left,
    lambda _left, up, _corner: up,
    lambda left, up, _corner: (left + up) // 2,
    _paeth,
)
"""By the number of the filter."""


def _with_palette(rows: list[Row], width: int, height: int) -> bytes:
    palette, place = _chosen(Counter(chain.from_iterable(rows)))
    lines = b"".join(b"\0" + bytes(place[pixel] for pixel in row) for row in rows)
    return _SIGNATURE + b"".join(
        _chunk(kind, body)
        for kind, body in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            (b"PLTE", bytes(chain.from_iterable(palette))),
            (b"IDAT", zlib.compress(lines, 9)),
            (b"IEND", b""),
        )
    )


def _chosen(counted: Counter[Colour]) -> tuple[list[Colour], dict[Colour, int]]:
    """The colours without which most would be missed, and for each colour the number of the nearest of them."""
    palette: list[Colour] = []
    missed = dict.fromkeys(counted, 4 * 255**2)
    place = dict.fromkeys(counted, 0)
    while len(palette) < _MOST_COLOURS and any(missed.values()):
        chosen = max(missed, key=lambda each: counted[each] * missed[each])
        red, green, blue = chosen
        for each, distance in missed.items():
            nearer = (each[0] - red) ** 2 + (each[1] - green) ** 2 + (each[2] - blue) ** 2
            if nearer < distance:
                missed[each], place[each] = nearer, len(palette)
        palette.append(chosen)
    return palette, place


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
