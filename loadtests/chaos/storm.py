"""All of it at once, until there was enough of everything; then calm, and the comparison."""

import asyncio
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from loadtests.chaos.clients import Client
from loadtests.chaos.diary import Diary, Kind
from loadtests.chaos.plan import Plan
from loadtests.chaos.stage import Stage, stage
from loadtests.chaos.table import progress
from loadtests.chaos.trouble import DatabaseTrouble, GroqTrouble, Trouble, WorkerTrouble
from loadtests.chaos.verdict import Evidence, read_rows
from tests.support.serving import Workers

_TOLD_EVERY_S = 5
_LOOK_AGAIN_S = 0.2

Say = Callable[[str], object]


def run(plan: Plan, folder: Path, say: Say = print) -> Evidence:
    """One run, from an empty database to what is in it at the end. `folder` is empty, and others can enter it."""
    diary = Diary()
    with stage(folder) as real:
        with real.service() as workers:
            asyncio.run(_storm(plan, real, workers, diary, say))
            exit_codes = [workers.program.stop(signal.SIGTERM)]
        left_in_spool = len(real.unspooled())
        if left_in_spool:
            exit_codes.append(real.unspool(plan.patience_s))
        return Evidence(
            diary=diary,
            rows=read_rows(real.database_url),
            exit_codes=exit_codes,
            left_in_spool=left_in_spool,
            never_unspooled=len(real.unspooled()),
        )


async def _storm(plan: Plan, real: Stage, workers: Workers, diary: Diary, say: Say) -> None:
    """Clients outlast the troubles, so that the service is seen well after the last one."""
    over, closing = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as crowd:
        for number in range(plan.clients):
            _ = crowd.create_task(Client(number, url=workers.url, plan=plan, diary=diary).run(closing))
        async with asyncio.TaskGroup() as troubled:
            for trouble in _troubles(plan, real, workers, diary):
                _ = troubled.create_task(trouble.run(over))
            await _tell_until_enough(plan, diary, say)
            over.set()
        await diary.receipt(plan.patience_s)
        closing.set()


def _troubles(plan: Plan, real: Stage, workers: Workers, diary: Diary) -> list[Trouble]:
    return [
        WorkerTrouble(workers.program, workers=workers.count, plan=plan, rng=_rng(plan, "workers"), diary=diary),
        DatabaseTrouble(real.postgres, plan=plan, rng=_rng(plan, "database"), diary=diary),
        GroqTrouble(real.groq, plan=plan, rng=_rng(plan, "groq"), diary=diary),
    ]


def _rng(plan: Plan, whose: str) -> random.Random:
    return random.Random(f"{plan.seed}:{whose}")


async def _tell_until_enough(plan: Plan, diary: Diary, say: Say) -> None:
    began = told = time.monotonic()
    while diary.streams < plan.streams or set(diary.struck) < set(Kind):
        await asyncio.sleep(_LOOK_AGAIN_S)
        if time.monotonic() - told >= _TOLD_EVERY_S:
            told = time.monotonic()
            say(progress(diary, told - began))
