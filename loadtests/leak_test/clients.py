"""Clients that read to the end, whatever it is, and clients that leave before, on connections of their own."""

import asyncio
import json
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import aiohttp

from loadtests.leak_test.endings import CLIENT_WRITE_TIMEOUT_S, Behaviour, Ending
from tests.support.service import PATH

_BLOCKED_S = (0.3, 0.6)
"""How long a client reads nothing before it leaves: all buffers on the way are full by then."""
_BUFFER = 4096


async def read(session: aiohttp.ClientSession, url: str, ending: Ending, name: str) -> None:
    """One chat, to its end."""
    async with session.post(url + PATH, json=ending.body(name), headers={"x-request-id": name}) as response:
        _ = await response.read()


async def leave(url: str, ending: Ending, name: str, seed: int) -> float:
    """Asks for one chat and leaves it as its ending says; returns when, on `time.monotonic`'s clock."""
    rng = random.Random(f"{seed}:{name}")
    async with _connected(url, ending, name) as reader:
        match ending.behaviour:
            case Behaviour.LEAVES_SENDING | Behaviour.LEAVES_AT_ONCE:
                await asyncio.sleep(rng.choice([0, rng.uniform(0, 0.02)]))
            case Behaviour.LEAVES_WAITING:
                await asyncio.sleep(rng.uniform(0.05, 0.3))
            case Behaviour.LEAVES_READING:
                for _ in range(rng.randint(1, 8)):
                    await reader.read(_BUFFER)
            case Behaviour.LEAVES_BLOCKED:
                await reader.read(_BUFFER)
                await asyncio.sleep(rng.uniform(*_BLOCKED_S))
            case Behaviour.STALLS:
                await reader.read(_BUFFER)
                await asyncio.sleep(CLIENT_WRITE_TIMEOUT_S + 2)
            case Behaviour.READS:
                raise AssertionError(f"{ending.name} does not leave")
        return time.monotonic()


@asynccontextmanager
async def _connected(url: str, ending: Ending, name: str) -> AsyncIterator[asyncio.StreamReader]:
    """A connection with a request on its way; leaving the context closes it."""
    address = urlsplit(url)
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    await asyncio.get_running_loop().sock_connect(connection, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=_BUFFER)
    body = json.dumps(ending.body(name)).encode()
    head = [f"POST {PATH} HTTP/1.1", f"host: {address.netloc}", "content-type: application/json"]
    head += [f"{header}: {value}" for header, value in ending.headers.items()]
    head += [f"x-request-id: {name}", f"content-length: {len(body)}", "", ""]
    try:
        writer.write("\r\n".join(head).encode() + body[: -1 if ending.behaviour is Behaviour.LEAVES_SENDING else None])
        await writer.drain()
        yield reader
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
