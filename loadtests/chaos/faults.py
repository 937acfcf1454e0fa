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
from loadtests.harness.environment import Environment
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
_SIGNALS = {Kind.KILL: signal.SIGKILL, Kind.TERM: signal.SIGTERM, Kind.RELOAD: signal.SIGHUP}
_ALL_WORKERS = 0.1  # the probability that a kill is one of all workers

Step = Callable[[], None]
Fault = Callable[[], Awaitable[None]]


class Faults:
    """Each method makes one part fail at random moments until the event is set; then that works again."""

    def __init__(self, plan: Plan, history: History, real: Environment, workers: Workers) -> None:
        self._plan = plan
        self._history = history
        self._real = real
        self._workers = workers
        self._master = psutil.Process(workers.program.pid)

    async def of_workers(self, over: asyncio.Event) -> None:
        rng = self._random("workers")
        kill, term, reload = (partial(self._end, kind, rng) for kind in (Kind.KILL, Kind.TERM, Kind.RELOAD))
        await _inject([kill, kill, term, term, reload], self._plan.between_kills_s, rng, over)

    async def of_database(self, over: asyncio.Event) -> None:
        rng, postgres = self._random("database"), self._real.postgres
        stop = partial(self._outage, Kind.STOP, postgres.stop, postgres.start, rng)
        hang = partial(self._outage, Kind.HANG, postgres.freeze, postgres.thaw, rng)
        await _inject([stop, hang], self._plan.between_outages_s, rng, over)

    async def of_groq(self, over: asyncio.Event) -> None:
        """Some faults at a time, each for some of the chats, and answers of another length and pace."""
        rng, groq, done = self._random("Groq"), self._real.groq, False
        while not done:
            names = rng.sample(list(_FAULTS), rng.randint(1, 4))
            length = {"words": rng.randint(8, 40), "tokens_per_s": rng.choice([100, 300, 1000])}
            faults = [length | _FAULTS[name] | {"probability": rng.uniform(0.03, 0.2)} for name in names]
            await asyncio.to_thread(groq.fail, *faults, _LONG_ANSWER, length, seed=rng.getrandbits(30))
            done = await set_within(rng.uniform(*self._plan.groq_faults_s), over)
            struck = await asyncio.to_thread(groq.applied)
            self._history.faults.update(dict(zip(names, struck, strict=False)))
        await asyncio.to_thread(groq.recover)

    def _random(self, what: str) -> random.Random:
        return random.Random(f"{self._plan.seed}:{what}")

    async def _end(self, kind: Kind, rng: random.Random) -> None:
        """A worker that dies in a reload is not replaced by gunicorn, so each fault waits for the successors."""
        began, targets, old = time.monotonic(), [self._master], self._alive()
        if kind is not Kind.RELOAD:
            every = kind is Kind.KILL and rng.random() < _ALL_WORKERS
            targets = old = rng.sample(old, self._workers.count if every else 1)
        for process in targets:
            process.send_signal(_SIGNALS[kind])
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

    async def _outage(self, kind: Kind, begin: Step, end: Step, rng: random.Random) -> None:
        """Between two outages the service has to recover."""
        await self._history.next_receipt(self._plan.timeout_s)
        try:
            await asyncio.to_thread(begin)
            began = time.monotonic()
            await asyncio.sleep(rng.uniform(*self._plan.outage_s))
            self._history.add(kind, began)
        finally:
            await asyncio.to_thread(end)
        await self._history.next_receipt(self._plan.timeout_s)


async def _inject(faults: Sequence[Fault], pause: Range, rng: random.Random, over: asyncio.Event) -> None:
    """One after each pause; every one of them before any comes again."""
    left: list[Fault] = []
    while not await set_within(rng.uniform(*pause), over):
        left = left or rng.sample(faults, len(faults))
        await left.pop()()
