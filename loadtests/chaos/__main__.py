"""`python -m loadtests.chaos`: exit code 0 if every receipt has its row and every answer is that to its question.

Everything fails at once, until there was enough of everything; then every fault ends, and rows are read.
"""

import asyncio
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from loadtests.chaos.clients import Client
from loadtests.chaos.faults import Faults
from loadtests.chaos.history import SERVICE, History, Kind, Plan
from loadtests.chaos.idle_bytes import sending_idle_bytes
from loadtests.chaos.verdict import Evidence, judge, progress, report
from loadtests.harness.command import command
from loadtests.harness.environment import Environment, environment
from loadtests.harness.rows import read_rows
from tests.support.waiting import wait_until

_WORKERS = 2
_PROGRESS_S = 5
_POLL_S = 0.2


def run(plan: Plan, folder: Path) -> Evidence:
    """One run, from an empty database to what is in it at the end. `folder` is empty."""
    history = History()
    with environment(folder) as real, sending_idle_bytes(real.groq.url, share=plan.idle_bytes, seed=plan.seed) as relay:
        settings = SERVICE | {"GROQ_BASE_URL": relay.url}
        with real.service(settings, workers=_WORKERS) as workers:
            asyncio.run(_everything(plan, workers.url, history, Faults(plan, history, real, workers)))
            exit_codes = [workers.program.stop(signal.SIGTERM)]
        left_in_outbox = real.outbox_rows()
        if left_in_outbox:
            exit_codes.append(_replay(real, settings, plan.timeout_s))
        return Evidence(
            history=history,
            rows=read_rows(real.postgres.url()),
            exit_codes=exit_codes,
            left_in_outbox=left_in_outbox,
            never_replayed=real.outbox_rows(),
            idle_bytes=relay.sent,
            crossed=relay.crossed,
        )


async def _everything(plan: Plan, url: str, history: History, faults: Faults) -> None:
    """Clients outlast the faults, so that the service is seen to work after the last one."""
    over, closing = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as clients:
        for number in range(plan.clients):
            _ = clients.create_task(Client(number, url=url, plan=plan, history=history).run(closing))
        async with asyncio.TaskGroup() as injecting:
            for inject in (faults.of_workers, faults.of_database, faults.of_groq):
                _ = injecting.create_task(inject(over))
            await _until_enough(plan, history)
            over.set()
        await history.next_receipt(plan.timeout_s)
        closing.set()


async def _until_enough(plan: Plan, history: History) -> None:
    began = last = time.monotonic()
    while history.streams < plan.streams or set(history.happened) < set(Kind):
        await asyncio.sleep(_POLL_S)
        if time.monotonic() - last >= _PROGRESS_S:
            last = time.monotonic()
            print(progress(history, last - began), flush=True)


def _replay(real: Environment, settings: dict[str, str], timeout_s: float) -> int:
    """Starts the service once more, until its outbox is empty; returns its exit code."""
    with real.service(settings, workers=_WORKERS) as workers:
        with suppress(AssertionError):
            wait_until(lambda: not real.outbox_rows(), "the outbox is not empty", timeout_s)
        return workers.program.stop(signal.SIGTERM)


def _main(options: dict[str, int], folder: Path) -> tuple[str, bool]:
    evidence = run(Plan(streams=options["streams"], clients=options["clients"], seed=options["seed"]), folder)
    broken = judge(evidence)
    return report(evidence, broken), not any(broken.values())


if __name__ == "__main__":
    sys.exit(command("chaos", _main, streams=Plan.streams, clients=Plan.clients, seed=Plan.seed))
