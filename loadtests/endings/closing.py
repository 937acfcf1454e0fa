"""How soon Groq is let go of when a client leaves: from its `close()` until the simulator sees the connection go."""

import asyncio
import random
import time

import aiohttp

from loadtests.endings.endings import BLOCKED, READING, WAITING, Ending
from loadtests.endings.leavers import leave
from loadtests.endings.plan import Plan

_LOOK_AGAIN_S = 0.005

Closings = dict[str, list[float]]
"""Seconds, for each way to leave."""


class Stopwatch:
    """Times one chat after the other, while nothing else happens."""

    def __init__(self, url: str, groq: str, *, plan: Plan, asked: dict[str, Ending]) -> None:
        self._url = url
        self._groq = groq
        self._plan = plan
        self._asked = asked

    async def run(self) -> Closings:
        async with aiohttp.ClientSession() as session:
            seen = _Seen(session, f"{self._groq}/seen", self._plan.patience_s)
            return {
                ending.name: [
                    await self._time(ending, f"{ending.name} {turn}", seen) for turn in range(self._plan.closings)
                ]
                for ending in (WAITING, READING, BLOCKED)
            }

    async def _time(self, ending: Ending, name: str, seen: "_Seen") -> float:
        before = await seen.left()
        self._asked[name] = ending
        left_at = await leave(self._url, ending, name, random.Random(f"{self._plan.seed}:{name}"))
        return await seen.more_than(before) - left_at


class _Seen:
    """How many the simulator has seen go."""

    def __init__(self, session: aiohttp.ClientSession, url: str, patience_s: float) -> None:
        self._session = session
        self._url = url
        self._patience_s = patience_s

    async def left(self) -> int:
        async with self._session.get(self._url) as response:
            count: int = (await response.json())["left"]
            return count

    async def more_than(self, before: int) -> float:
        """Returns when that was."""
        deadline = time.monotonic() + self._patience_s
        while await self.left() <= before:
            if time.monotonic() > deadline:
                raise AssertionError(f"Groq was not let go of for {self._patience_s:g} s")
            await asyncio.sleep(_LOOK_AGAIN_S)
        return time.monotonic()
