"""Makes a PNG small. A page has few colours, so that a byte a pixel does: those that are rare become their neighbours.

What the bytes mean stands in the PNG specification, https://www.w3.org/TR/png-3/.
"""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import chain

Colour = tuple[int, int, int]
Row = list[Colour]

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
    above, rows = bytearray(length), []
    for start in range(0, len(filtered), length + 1):
        line = bytearray(filtered[start + 1 : start + 1 + length])
        _unfilter(filtered[start], line, above)
        rows.append(list(zip(line[0::3], line[1::3], line[2::3], strict=True)))
        above = line
    return rows


def _unfilter(kind: int, line: bytearray, above: bytearray) -> None:
    """Adds what was expected of a byte: from the pixel before it, the one above, and the one before that."""
    for at, up in enumerate(above if kind else b""):
        left, corner = (line[at - _CHANNELS], above[at - _CHANNELS]) if at >= _CHANNELS else (0, 0)
        if kind == 4:
            expected = _paeth(left, up, corner)
        else:
            expected = (0, left, up, (left + up) // 2)[kind]
        line[at] = (line[at] + expected) % 256


def _paeth(left: int, up: int, corner: int) -> int:
    """Whichever is nearest to left + up - corner."""
    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if to_left <= to_up and to_left <= to_corner:
        return left
    return up if to_up <= to_corner else corner


def _with_palette(rows: list[Row], width: int, height: int) -> bytes:
    counted = Counter(chain.from_iterable(rows))
    palette = [colour for colour, _ in counted.most_common(_MOST_COLOURS)]
    place = {colour: _nearest(palette, colour) for colour in counted} | {each: at for at, each in enumerate(palette)}
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


def _nearest(palette: list[Colour], colour: Colour) -> int:
    return min(range(len(palette)), key=lambda at: sum((a - b) ** 2 for a, b in zip(palette[at], colour, strict=True)))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
