"""All of it: stretch by stretch, with a look at the worker after each, and the closings timed at the end."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from loadtests.endings.closing import Closings, Stopwatch
from loadtests.endings.endings import Ending, Manner, choose
from loadtests.endings.inside import Look
from loadtests.endings.leavers import leave
from loadtests.endings.plan import Plan
from loadtests.endings.readers import Reader
from loadtests.endings.stage import Stage, stage
from loadtests.endings.table import progress
from loadtests.endings.verdict import HELD, Evidence, read_rows

_LOOK_AGAIN_S = 0.25
_CHAT_S = 30

Say = Callable[[str], object]


def run(plan: Plan, folder: Path, say: Say = print) -> Evidence:
    """One run. `folder` is empty, and others can enter it."""
    with stage(folder) as real:
        began, looks, asked, closings = time.monotonic(), dict[int, Look](), dict[str, Ending](), Closings()
        for stretch in plan.stretches:
            asyncio.run(_ask(plan, real, stretch, asked))
            first = next(iter(looks.values()), None)
            looks[stretch.stop] = _look_when_idle(plan, real, first)
            say(progress(stretch.stop, time.monotonic() - began, looks[stretch.stop]))
            if first is None:
                watch = Stopwatch(real.service.url, real.groq.root, plan=plan, asked=asked)
                closings = asyncio.run(watch.run())
        rows = read_rows(real.service.database_url)
        return Evidence(
            asked=asked,
            looks=looks,
            rows=rows,
            counted=real.worker.counted(),
            gauges=real.worker.gauges(),
            upstream=real.upstream(),
            spans=_spans(plan, real, len(rows)),
            closings=closings,
        )


async def _ask(plan: Plan, real: Stage, numbers: range, asked: dict[str, Ending]) -> None:
    """These chats, by as many clients as there are."""
    waiting = iter(numbers)
    async with asyncio.TaskGroup() as crowd:
        for number in range(plan.clients):
            _ = crowd.create_task(_client(plan, real, waiting, asked, keeps_connection=number % 2 == 0))


async def _client(
    plan: Plan, real: Stage, numbers: Iterator[int], asked: dict[str, Ending], *, keeps_connection: bool
) -> None:
    """One chat after the other."""
    reader = Reader(real.service.url, keeps_connection=keeps_connection)
    try:
        for number in numbers:
            ending, name = choose(plan.seed, number), f"endings-{number}"
            asked[name] = ending
            async with asyncio.timeout(_CHAT_S):
                if ending.manner is Manner.READS:
                    await reader.read(ending, name)
                else:
                    await leave(real.service.url, ending, name, random.Random(f"{plan.seed}:{name}"))
    finally:
        await reader.close()


def _look_when_idle(plan: Plan, real: Stage, first: Look | None) -> Look:
    """Once no chat runs and Groq's idle connections have closed, and once two looks agree."""
    deadline = time.monotonic() + plan.patience_s
    while (any(real.worker.gauges().values()) or real.upstream()) and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN_S)
    look = real.worker.look()
    while time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN_S)
        before, look = look, real.worker.look()
        if not before.more_than(look, *HELD) and not look.more_than(first or before, *HELD):
            break
    return look


def _spans(plan: Plan, real: Stage, expected: int) -> list[str]:
    """The ids of the chats that the collector has spans of, once as many have come as are expected."""
    deadline = time.monotonic() + plan.patience_s
    while True:
        time.sleep(_LOOK_AGAIN_S)
        ids = [span.attributes["chat.id"] for span in list(real.collector.spans) if "chat.id" in span.attributes]
        if len(ids) >= expected or time.monotonic() > deadline:
            return ids
