"""Clients that leave before the end of their chat, on connections of their own."""

import asyncio
import json
import random
import time

from loadtests.leak_test.endings import CLIENT_WRITE_TIMEOUT_S, Behaviour, Ending
from tests.support.raw import CHAT, connect, sized

_BLOCKED_S = (0.3, 0.6)
"""How long a client reads nothing before it leaves: all buffers on the way are full by then."""
_BUFFER = 4096


async def leave(url: str, ending: Ending, name: str, seed: int) -> float:
    """Asks for one chat and leaves it as its ending says; returns when, on `time.monotonic`'s clock."""
    rng, loop = random.Random(f"{seed}:{name}"), asyncio.get_running_loop()
    headers = "".join(f"{header}: {value}\r\n" for header, value in (ending.headers | {"x-request-id": name}).items())
    request = CHAT + headers.encode() + sized(json.dumps(ending.body(name)).encode())
    with connect(url, receive_buffer=_BUFFER) as client:
        client.setblocking(False)
        await loop.sock_sendall(client, request[:-1] if ending.behaviour is Behaviour.LEAVES_SENDING else request)
        match ending.behaviour:
            case Behaviour.LEAVES_SENDING | Behaviour.LEAVES_AT_ONCE:
                await asyncio.sleep(rng.choice([0, rng.uniform(0, 0.02)]))
            case Behaviour.LEAVES_WAITING:
                await asyncio.sleep(rng.uniform(0.05, 0.3))
            case Behaviour.LEAVES_READING:
                for _ in range(rng.randint(1, 8)):
                    await loop.sock_recv(client, _BUFFER)
            case Behaviour.LEAVES_BLOCKED:
                await loop.sock_recv(client, _BUFFER)
                await asyncio.sleep(rng.uniform(*_BLOCKED_S))
            case Behaviour.STALLS:
                await loop.sock_recv(client, _BUFFER)
                await asyncio.sleep(CLIENT_WRITE_TIMEOUT_S + 2)
            case Behaviour.READS:
                raise AssertionError(f"{ending.name} does not leave")
        return time.monotonic()
