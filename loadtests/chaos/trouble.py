"""What goes wrong with the workers, the database and Groq: chosen at random, from a seed."""

import asyncio
import json
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import psutil

from loadtests.chaos.clients import LONG_ANSWERS
from loadtests.chaos.diary import Diary, Kind, over_within, until
from loadtests.chaos.plan import GAP_TIMEOUT_S, Plan, Range
from tests.support.postgres import Postgres
from tests.support.processes import Program
from tests.support.service import SimulatedGroq

_FAULTS: dict[str, dict[str, Any]] = {
    "503": {"status": 503},
    "429": {"status": 429, "retry_after_s": 0},
    "truncate": {"ending": "truncate", "after_tokens": 4},
    "eof": {"ending": "eof", "after_tokens": 3},
    "garbage": {"ending": "garbage", "after_tokens": 2},
    "error_event": {"ending": "error_event", "after_tokens": 5},
    "early_stop": {"ending": "early_stop", "after_tokens": 6},
    "short silence": {"silence_s": GAP_TIMEOUT_S / 3, "after_tokens": 4},
    "long silence": {"silence_s": GAP_TIMEOUT_S * 2, "after_tokens": 4},
    "slow first token": {"first_token_delay_s": 1},
}
_LONG_ANSWER = {"model": LONG_ANSWERS, "words": 3000, "tokens_per_s": 5000}
_ALL_WORKERS = 0.1  # the chance that a kill meets all of them at once

Strike = Callable[[], Awaitable[None]]


class Trouble(Protocol):
    """One kind of it."""

    async def run(self, over: asyncio.Event) -> None:
        """Until it is over; then all is well again."""
        ...


async def now_and_then(strikes: Sequence[Strike], *, rng: random.Random, pause_s: Range, over: asyncio.Event) -> None:
    """A strike after each pause; every one of them once before any comes again."""
    left: list[Strike] = []
    while not await over_within(rng.uniform(*pause_s), over):
        left = left or rng.sample(strikes, len(strikes))
        await left.pop()()


class WorkerTrouble:
    """Ends workers. gunicorn does not replace one that dies in a reload, so each strike waits for the successors."""

    def __init__(self, gunicorn: Program, *, workers: int, plan: Plan, rng: random.Random, diary: Diary) -> None:
        self._gunicorn = gunicorn
        self._master = psutil.Process(gunicorn.pid)
        self._workers = workers
        self._plan = plan
        self._rng = rng
        self._diary = diary
        self._booted: set[int] = set()
        self._lines_read = 0

    async def run(self, over: asyncio.Event) -> None:
        strikes = [self._kill, self._kill, self._term, self._term, self._reload]
        await now_and_then(strikes, rng=self._rng, pause_s=self._plan.between_kills_s, over=over)

    async def _kill(self) -> None:
        count = self._workers if self._rng.random() < _ALL_WORKERS else 1
        await self._end(Kind.KILL, signal.SIGKILL, self._rng.sample(self._alive(), count))

    async def _term(self) -> None:
        await self._end(Kind.TERM, signal.SIGTERM, self._rng.sample(self._alive(), 1))

    async def _end(self, kind: Kind, how: signal.Signals, victims: list[psutil.Process]) -> None:
        began = time.monotonic()
        for worker in victims:
            worker.send_signal(how)
        await self._replaced(victims)
        for _ in victims:
            self._diary.note(kind, began)

    async def _reload(self) -> None:
        old, began = self._alive(), time.monotonic()
        self._gunicorn.signal(signal.SIGHUP)
        await self._replaced(old)
        self._diary.note(Kind.RELOAD, began)

    async def _replaced(self, old: list[psutil.Process]) -> None:
        def complete() -> bool:
            now = self._alive()
            self._read_on()
            booted = self._booted.issuperset(worker.pid for worker in now)
            return len(now) == self._workers and booted and not set(old) & set(now)

        await until(complete, self._plan.patience_s, "gunicorn was not complete")

    def _alive(self) -> list[psutil.Process]:
        return sorted(self._master.children(), key=lambda worker: worker.pid)

    def _read_on(self) -> None:
        """A worker that serves its metrics has its handlers of signals."""
        new = self._gunicorn.lines[self._lines_read :]
        self._lines_read += len(new)
        self._booted |= {json.loads(line)["pid"] for line in new if '"metrics.served"' in line}


class DatabaseTrouble:
    """Stops the database, or lets it hang. Between two outages the service has to recover."""

    def __init__(self, postgres: Postgres, *, plan: Plan, rng: random.Random, diary: Diary) -> None:
        self._postgres = postgres
        self._plan = plan
        self._rng = rng
        self._diary = diary

    async def run(self, over: asyncio.Event) -> None:
        strikes = [self._stop, self._hang]
        await now_and_then(strikes, rng=self._rng, pause_s=self._plan.between_outages_s, over=over)

    async def _stop(self) -> None:
        await self._away(Kind.STOP, self._postgres.stop, self._postgres.start)

    async def _hang(self) -> None:
        await self._away(Kind.HANG, self._postgres.freeze, self._postgres.thaw)

    async def _away(self, kind: Kind, leave: Callable[[], None], come_back: Callable[[], None]) -> None:
        await self._diary.receipt(self._plan.patience_s)
        try:
            await asyncio.to_thread(leave)
            began = time.monotonic()
            await asyncio.sleep(self._rng.uniform(*self._plan.outage_s))
            self._diary.note(kind, began)
        finally:
            await asyncio.to_thread(come_back)
        await self._diary.receipt(self._plan.patience_s)


class GroqTrouble:
    """Weather: some faults at a time, each for some of the chats, and answers of another length and pace."""

    def __init__(self, groq: SimulatedGroq, *, plan: Plan, rng: random.Random, diary: Diary) -> None:
        self._groq = groq
        self._plan = plan
        self._rng = rng
        self._diary = diary

    async def run(self, over: asyncio.Event) -> None:
        done = False
        while not done:
            names = self._rng.sample(list(_FAULTS), self._rng.randint(1, 4))
            await asyncio.to_thread(self._groq.fail, *self._script(names), seed=self._rng.getrandbits(30))
            done = await over_within(self._rng.uniform(*self._plan.weather_s), over)
            struck = await asyncio.to_thread(self._groq.struck)
            self._diary.faults.update(dict(zip(names, struck, strict=False)))
        await asyncio.to_thread(self._groq.recover)

    def _script(self, names: list[str]) -> list[dict[str, Any]]:
        length = {"words": self._rng.randint(8, 40), "tokens_per_s": self._rng.choice([100, 300, 1000])}
        faults = [length | _FAULTS[name] | {"probability": self._rng.uniform(0.03, 0.2)} for name in names]
        return [*faults, _LONG_ANSWER, length]
