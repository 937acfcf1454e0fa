"""As much HTTP/1.1 as both ends need: where a message's body ends, whichever way it is framed. Nothing here waits."""

import re

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)

Message = tuple[bytes, bytes, bytes]
"""Its head, its body, and what came after it."""


def message(data: bytes) -> Message | None:
    """The first message, None while it is not complete. One that says nothing of a body has none."""
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        return None
    if told := _LENGTH.search(head):
        size = int(told[1])
        return (head, rest[:size], rest[size:]) if len(rest) >= size else None
    if _CHUNKED.search(head):
        joined = _join(rest)
        return joined and (head, *joined)
    return head, b"", rest


def _join(data: bytes) -> tuple[bytes, bytes] | None:
    """The chunks' contents, and what came after the last one. No trailers: nobody here sends any."""
    parts: list[bytes] = []
    at = 0
    while (line_end := data.find(b"\r\n", at)) >= 0:
        begin, size = line_end + 2, int(data[at:line_end].partition(b";")[0], 16)
        at = begin + size + 2
        if len(data) < at:
            return None
        if size == 0:
            return b"".join(parts), data[at:]
        parts.append(data[begin : begin + size])
    return None
