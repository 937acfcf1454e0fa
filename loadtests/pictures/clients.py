"""Who asks: one chat after the other, with a pause between them. How many there are rises and falls."""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from loadtests.pictures.weather import MODELS, weather
from tests.support.service import PATH, SimulatedGroq

_FEWEST, _MOST = 5, 26
_PAUSE_S = (0.4, 2.4)
_WEATHER_S = 1.0
_LOOK_AGAIN_S = 0.2
_SHARES = (5, 3, 2)
"""Of the models."""

_LEAVES, _ASKS_WRONGLY = 0.05, 0.008
"""How likely a chat is one of them."""


async def live(url: str, groq: SimulatedGroq, *, seconds: float, seed: int = 0) -> tuple[float, float]:
    """Puts a service under load for so long; returns when that began and ended, in seconds since 1970."""
    began = time.time()

    def progress() -> float:
        return (time.time() - began) / seconds

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        clients = [
            _client(session, url + PATH, random.Random(f"{seed}:{each}"), each, progress) for each in range(_MOST)
        ]
        async with _running([*clients, _change(groq, random.Random(seed), progress)]):
            await asyncio.sleep(seconds)
            return began, time.time()


def wanted(progress: float) -> int:
    """How many clients there are: a morning, a noon, a fuller afternoon."""
    tide = 0.75 * math.sin(math.pi * progress) + 0.35 * math.sin(math.pi * (2.5 * progress + 1)) ** 2
    return round(_FEWEST + (_MOST - _FEWEST) * min(1, max(0, tide)))


async def _client(
    session: aiohttp.ClientSession, url: str, rng: random.Random, number: int, progress: Callable[[], float]
) -> None:
    while True:
        if number < wanted(progress()):
            await _chat(session, url, rng)
            await asyncio.sleep(rng.uniform(*_PAUSE_S))
        else:
            await asyncio.sleep(_LOOK_AGAIN_S)


async def _chat(session: aiohttp.ClientSession, url: str, rng: random.Random) -> None:
    """Reads to the end, or leaves before."""
    body = {
        "model": rng.choices(MODELS, weights=_SHARES)[0],
        "messages": [{"role": "user", "content": "How long is a piece of string? " * rng.randint(1, 40)}],
        "temperature": 9 if rng.random() < _ASKS_WRONGLY else 0.7,
    }
    patience_s = rng.uniform(0.05, 0.8) if rng.random() < _LEAVES else None
    try:
        async with asyncio.timeout(patience_s), session.post(url, json=body) as response:
            await response.read()
    except TimeoutError:
        pass


async def _change(groq: SimulatedGroq, rng: random.Random, progress: Callable[[], float]) -> None:
    while True:
        await asyncio.to_thread(groq.fail, *weather(progress(), rng), seed=rng.getrandbits(32))
        await asyncio.sleep(_WEATHER_S)


@asynccontextmanager
async def _running(coroutines: Sequence[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Until the context is left; whoever broke meanwhile is heard then."""
    tasks = [asyncio.create_task(each) for each in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for each in ended:
        if isinstance(each, Exception):
            raise each
