"""A picture in 256 colours, of bytes made here."""

import random
import struct
import zlib

import pytest

from loadtests.pictures.png import smaller


@pytest.mark.parametrize("kind", range(5))
def test_a_smaller_picture_is_the_same_picture(kind: int) -> None:
    rng = random.Random(kind)
    palette = [bytes(rng.randbytes(3)) for _ in range(200)]
    lines = [b"".join(rng.choices(palette, k=30)) for _ in range(20)]
    assert pixels(smaller(png(lines, kind))) == lines


def test_what_is_no_picture_of_chromium_is_refused() -> None:
    grey = png([bytes(3)], 0).replace(b"\x08\x02\x00\x00\x00", b"\x08\x00\x00\x00\x00")
    with pytest.raises(ValueError, match="another form"):
        smaller(grey)


def png(lines: list[bytes], kind: int) -> bytes:
    """Of three bytes a pixel, each line through this filter."""
    data, above = b"", bytes(len(lines[0]))
    for line in lines:
        left, corner = bytes(3) + line, bytes(3) + above
        expected = [(0, a, b, (a + b) // 2, paeth(a, b, c))[kind] for a, b, c in zip(left, above, corner, strict=False)]
        data += bytes([kind, *((x - e) % 256 for x, e in zip(line, expected, strict=True))])
        above = line
    header = struct.pack(">IIBBBBB", len(lines[0]) // 3, len(lines), 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + b"CRC " for name, body in chunks
    )


def paeth(a: int, b: int, c: int) -> int:
    return min((a, b, c), key=lambda each: abs(a + b - c - each))


def pixels(png: bytes) -> list[bytes]:
    """Of a picture with a palette and without filters."""
    width, height = struct.unpack(">II", png[16:24])
    palette, data = (png.split(name, 1)[1] for name in (b"PLTE", b"IDAT"))
    raw = zlib.decompressobj().decompress(data)
    lines = [raw[at + 1 : at + 1 + width] for at in range(0, height * (width + 1), width + 1)]
    return [b"".join(palette[3 * pixel : 3 * pixel + 3] for pixel in line) for line in lines]
