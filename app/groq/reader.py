"""What aiohttp's reader holds, in one step. Its own reads take HTTP chunks one by one, there is one for each token, and
after each they ask the parser for more.

The names with an underscore are those of aiohttp 3.14: what they are expected to do is in tests/groq/test_reader.py.
"""

# ruff: noqa: SLF001

import aiohttp


async def all_that_came(body: aiohttp.StreamReader) -> bytes:
    """Waits for something to come; empty at the end. Raises what broke the connection."""
    if (broken := body.exception()) is not None:
        raise broken
    while not body._buffer and not body.is_eof():
        try:
            await body._wait("read")
        except RuntimeError as exc:  # the connection is closed, and nobody told the reader why
            raise aiohttp.ClientPayloadError("the connection ended before the answer did") from exc
    return take(body)


def take(body: aiohttp.StreamReader) -> bytes:
    """What has come and not been read. Nothing else reads from it, so that its first piece is always whole."""
    data = b"".join(body._buffer)
    body._buffer.clear()
    body._size = 0
    body._cursor += len(data)
    if body._http_chunk_splits:
        body._http_chunk_splits.clear()
    if body._protocol._reading_paused:
        body._protocol.resume_reading()
    return data
