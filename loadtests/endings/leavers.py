"""Clients that leave before the end, on connections of their own."""

import asyncio
import json
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from loadtests.endings.endings import Ending, Manner
from loadtests.endings.plan import STALL_TIMEOUT_S
from tests.support.service import PATH

BLOCKED_S = (0.3, 0.6)
"""How long a client reads nothing before it leaves: all buffers on the way are full by then."""

_LITTLE_BUFFER = 4096


async def leave(url: str, ending: Ending, name: str, rng: random.Random) -> float:
    """Asks for one chat, and leaves it as its ending says; returns when, on `time.monotonic`'s clock."""
    async with _asked(url, ending, name) as reader:
        match ending.manner:
            case Manner.LEAVES_ASKING | Manner.LEAVES_AT_ONCE:
                await asyncio.sleep(rng.choice([0, rng.uniform(0, 0.02)]))
            case Manner.LEAVES_WAITING:
                await asyncio.sleep(rng.uniform(0.05, 0.3))
            case Manner.LEAVES_READING:
                for _ in range(rng.randint(1, 8)):
                    await reader.read(_LITTLE_BUFFER)
            case Manner.LEAVES_BLOCKED:
                await reader.read(_LITTLE_BUFFER)
                await asyncio.sleep(rng.uniform(*BLOCKED_S))
            case Manner.STALLS:
                await reader.read(_LITTLE_BUFFER)
                await asyncio.sleep(STALL_TIMEOUT_S + 2)
            case Manner.READS:
                raise AssertionError(f"{ending.name}: it does not leave")
        return time.monotonic()


@asynccontextmanager
async def _asked(url: str, ending: Ending, name: str) -> AsyncIterator[asyncio.StreamReader]:
    """A connection with a request on its way; leaving the context closes it."""
    address = urlsplit(url)
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LITTLE_BUFFER)
    await asyncio.get_running_loop().sock_connect(connection, (address.hostname, address.port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=_LITTLE_BUFFER)
    body = json.dumps(ending.body(name)).encode()
    sent = body[:-1] if ending.manner is Manner.LEAVES_ASKING else body
    head = [f"POST {PATH} HTTP/1.1", f"host: {address.netloc}", "content-type: application/json"]
    head += [f"x-request-id: {name}", f"content-length: {len(body)}", "", ""]
    try:
        writer.write("\r\n".join(head).encode() + sent)
        await writer.drain()
        yield reader
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
