"""Groq's name is resolved apart from everything else: a name server that hangs for another host holds no chat up."""

import asyncio
import threading

from app.groq.client import GroqClient
from tests.groq.clients import read_all, settings
from tests.support.service import SimulatedGroq


async def test_lookups_that_hang_in_asyncio_s_threads_do_not_hold_up_groq_s(groq: SimulatedGroq) -> None:
    """As `getaddrinfo` does for a database whose name server never answers."""
    answered = threading.Event()
    loop = asyncio.get_running_loop()
    async with GroqClient(settings(groq.url.replace("127.0.0.1", "localhost"))) as client:
        lookups = [loop.run_in_executor(None, answered.wait, 30) for _ in range(64)]
        try:
            async with asyncio.timeout(10):
                assert (await read_all(client))[-1].ended
        finally:
            answered.set()
            await asyncio.gather(*lookups)
