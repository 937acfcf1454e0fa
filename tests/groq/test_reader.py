"""aiohttp's reader, of which we use more than it promises: a new version that differs is to fail here."""

import asyncio

import aiohttp
import pytest
from aiohttp import ClientPayloadError
from aiohttp.client_proto import ResponseHandler

from app.groq.reader import all_that_came, take


def reader() -> aiohttp.StreamReader:
    loop = asyncio.get_running_loop()
    protocol = ResponseHandler(loop)
    protocol.connection_made(asyncio.Transport())
    return aiohttp.StreamReader(protocol, limit=2**16, loop=loop)


async def test_everything_is_taken_at_once_whatever_chunks_it_came_in() -> None:
    body = reader()
    for piece in (b"one ", b"two ", b"three"):
        body.begin_http_chunk_receiving()
        body.feed_data(piece)
        body.end_http_chunk_receiving()
    assert take(body) == b"one two three"
    assert take(body) == b""
    body.begin_http_chunk_receiving()
    body.feed_data(b"four")
    body.end_http_chunk_receiving()
    assert await all_that_came(body) == b"four"
    body.feed_eof()
    assert await all_that_came(body) == b""


async def test_it_waits_until_something_comes() -> None:
    body = reader()
    asyncio.get_running_loop().call_later(0.02, body.feed_data, b"late")
    assert await asyncio.wait_for(all_that_came(body), 1) == b"late"


async def test_what_broke_the_connection_is_raised() -> None:
    body = reader()
    body.set_exception(ClientPayloadError("broken"))
    with pytest.raises(ClientPayloadError, match="broken"):
        await all_that_came(body)


async def test_a_connection_that_is_gone_is_broken_too() -> None:
    body = reader()
    body._protocol.connection_lost(None)
    with pytest.raises(ClientPayloadError):
        await all_that_came(body)
