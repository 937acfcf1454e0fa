"""What fails: workers, the database, Groq, each at random moments, from a seed."""

import asyncio
import json
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import psutil

from loadtests.chaos.clients import LONG_ANSWERS
from loadtests.chaos.history import INTER_TOKEN_TIMEOUT_S, History, Kind, Plan, Range, set_within
from tests.support.postgres import Postgres
from tests.support.service import SimulatedGroq
from tests.support.serving import Workers
from tests.support.waiting import until

_FAULTS: dict[str, dict[str, Any]] = {
    "503": {"status": 503},
    "429": {"status": 429, "retry_after_s": 0},
    "truncate": {"ending": "truncate", "after_tokens": 4},
    "eof": {"ending": "eof", "after_tokens": 3},
    "garbage": {"ending": "garbage", "after_tokens": 2},
    "error_event": {"ending": "error_event", "after_tokens": 5},
    "early_stop": {"ending": "early_stop", "after_tokens": 6},
    "short silence": {"silence_s": INTER_TOKEN_TIMEOUT_S / 3, "after_tokens": 4},
    "long silence": {"silence_s": INTER_TOKEN_TIMEOUT_S * 2, "after_tokens": 4},
    "slow first token": {"first_token_delay_s": 1},
}
_LONG_ANSWER = {"model": LONG_ANSWERS, "words": 3000, "tokens_per_s": 5000}
_ALL_WORKERS = 0.1  # the probability that a kill is one of all workers


class Injector:
    """`run` injects faults at random moments until the event is set; then everything works again."""

    def __init__(self, plan: Plan, history: History) -> None:
        self._plan = plan
        self._history = history
        self._rng = random.Random(f"{plan.seed}:{type(self).__name__}")

    async def _inject(self, faults: Sequence[Callable[[], Awaitable[None]]], pause: Range, over: asyncio.Event) -> None:
        """One after each pause; every one of them before any comes again."""
        left: list[Callable[[], Awaitable[None]]] = []
        while not await set_within(self._rng.uniform(*pause), over):
            left = left or self._rng.sample(faults, len(faults))
            await left.pop()()


class WorkerFaults(Injector):
    """Ends workers. gunicorn does not replace one that dies in a reload, so each fault waits for the successors."""

    def __init__(self, plan: Plan, history: History, workers: Workers) -> None:
        super().__init__(plan, history)
        self._workers = workers
        self._master = psutil.Process(workers.program.pid)

    async def run(self, over: asyncio.Event) -> None:
        faults = [self._kill, self._kill, self._term, self._term, self._reload]
        await self._inject(faults, self._plan.between_kills_s, over)

    async def _kill(self) -> None:
        count = self._workers.count if self._rng.random() < _ALL_WORKERS else 1
        await self._end(Kind.KILL, signal.SIGKILL, self._rng.sample(self._alive(), count))

    async def _term(self) -> None:
        await self._end(Kind.TERM, signal.SIGTERM, self._rng.sample(self._alive(), 1))

    async def _reload(self) -> None:
        await self._end(Kind.RELOAD, signal.SIGHUP, [self._master])

    async def _end(self, kind: Kind, how: signal.Signals, targets: list[psutil.Process]) -> None:
        began, old = time.monotonic(), self._alive() if targets == [self._master] else targets
        for process in targets:
            process.send_signal(how)
        await until(lambda: self._complete_without(old), "gunicorn lacks workers", self._plan.timeout_s)
        for _ in targets:
            self._history.add(kind, began)

    def _complete_without(self, old: list[psutil.Process]) -> bool:
        now = self._alive()
        ready = {json.loads(line)["pid"] for line in self._workers.program.lines if '"metrics.served"' in line}
        served = ready.issuperset(worker.pid for worker in now)
        return len(now) == self._workers.count and served and not set(old) & set(now)

    def _alive(self) -> list[psutil.Process]:
        return sorted(self._master.children(), key=lambda worker: worker.pid)


class DatabaseFaults(Injector):
    """Stops the database, or freezes it. Between two outages the service has to recover."""

    def __init__(self, plan: Plan, history: History, postgres: Postgres) -> None:
        super().__init__(plan, history)
        self._stop = partial(self._outage, Kind.STOP, postgres.stop, postgres.start)
        self._hang = partial(self._outage, Kind.HANG, postgres.freeze, postgres.thaw)

    async def run(self, over: asyncio.Event) -> None:
        await self._inject([self._stop, self._hang], self._plan.between_outages_s, over)

    async def _outage(self, kind: Kind, begin: Callable[[], None], end: Callable[[], None]) -> None:
        await self._history.next_receipt(self._plan.timeout_s)
        try:
            await asyncio.to_thread(begin)
            began = time.monotonic()
            await asyncio.sleep(self._rng.uniform(*self._plan.outage_s))
            self._history.add(kind, began)
        finally:
            await asyncio.to_thread(end)
        await self._history.next_receipt(self._plan.timeout_s)


class GroqFaults(Injector):
    """Some faults at a time, each for some of the chats, and answers of another length and pace."""

    def __init__(self, plan: Plan, history: History, groq: SimulatedGroq) -> None:
        super().__init__(plan, history)
        self._groq = groq

    async def run(self, over: asyncio.Event) -> None:
        done = False
        while not done:
            names = self._rng.sample(list(_FAULTS), self._rng.randint(1, 4))
            length = {"words": self._rng.randint(8, 40), "tokens_per_s": self._rng.choice([100, 300, 1000])}
            faults = [length | _FAULTS[name] | {"probability": self._rng.uniform(0.03, 0.2)} for name in names]
            seed = self._rng.getrandbits(30)
            await asyncio.to_thread(self._groq.fail, *faults, _LONG_ANSWER, length, seed=seed)
            done = await set_within(self._rng.uniform(*self._plan.groq_faults_s), over)
            struck = await asyncio.to_thread(self._groq.applied)
            self._history.faults.update(dict(zip(names, struck, strict=False)))
        await asyncio.to_thread(self._groq.recover)
