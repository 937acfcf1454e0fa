"""`python -m loadtests.leak_test`: exit code 0 if nothing leaks, however chats end."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import aiohttp
import psutil

from loadtests.harness.command import command
from loadtests.harness.environment import Environment, environment
from loadtests.harness.rows import read_rows
from loadtests.leak_test.clients import leave
from loadtests.leak_test.endings import BLOCKED, ENDINGS, READING, SERVICE, WAITING, Behaviour, Ending, Plan, choose
from loadtests.leak_test.programs import APP, CLOSE_IDLE, INSIDE
from loadtests.leak_test.verdict import Evidence, Holds, judge, more, report
from tests.support.otlp import ReceivedSpan, collecting
from tests.support.scrape import scrape, total
from tests.support.service import PATH
from tests.support.serving import Workers
from tests.support.waiting import wait_until

_GAUGES = {
    "active streams": ("chat_active_streams", {}),
    "bytes of requests": ("chat_request_body_bytes", {}),
    "connections in use": ("db_pool_connections", {"state": "in_use"}),
    "rows in the outbox": ("chat_log_outbox_rows", {}),
}
_CLOSING_POLL_S = 0.005
_CHAT_S = 30


def run(plan: Plan, folder: Path) -> Evidence:
    """One run. `folder` is empty."""
    with environment(folder, simulator=["loadtests.leak_test.programs"]) as real, collecting() as collector:
        real.groq.fail(*(ending.script for ending in ENDINGS))
        settings = SERVICE | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with real.service(settings, workers=1, app=APP) as service:
            test = _Test(plan, real, service, {})
            began, holds, closings = time.monotonic(), list[Holds](), dict[str, list[float]]()
            for stretch in plan.stretches:
                asyncio.run(test.ask(stretch))
                holds.append(test.holds_when_idle(holds[0] if holds else None))
                held = ", ".join(f"{count:.4g} {name}" for name, count in holds[-1].items())
                print(f"{time.monotonic() - began:4.0f} s  {stretch.stop:6} chats: {held}", flush=True)
                closings = closings or asyncio.run(test.time_closings())
            rows = read_rows(real.postgres.url())
            with suppress(AssertionError):  # then the verdict says how many there are
                collector.wait_for(_of_a_chat, len(rows), plan.timeout_s)
            return Evidence(
                requested=test.requested,
                holds=holds,
                rows=rows,
                counted=test.counted(),
                gauges=test.gauges(),
                upstream=test.upstream(),
                spans=[span.attributes["chat.id"] for span in collector.spans if _of_a_chat(span)],
                closings=closings,
            )


def _of_a_chat(span: ReceivedSpan) -> bool:
    return "chat.id" in span.attributes


@dataclass
class _Test:
    plan: Plan
    real: Environment
    service: Workers
    requested: dict[str, Ending]

    async def ask(self, numbers: range) -> None:
        """These chats, by as many clients as there are; every other one reuses its connection."""
        waiting = iter(numbers)
        async with asyncio.TaskGroup() as clients:
            for number in range(self.plan.clients):
                _ = clients.create_task(self._client(waiting, reuses=number % 2 == 0))

    async def _client(self, numbers: Iterator[int], *, reuses: bool) -> None:
        connector = aiohttp.TCPConnector(force_close=not reuses)
        async with aiohttp.ClientSession(connector=connector) as session:
            for number in numbers:
                ending, name = choose(self.plan.seed, number), f"leak-{number}"
                self.requested[name] = ending
                async with asyncio.timeout(_CHAT_S):
                    if ending.behaviour is not Behaviour.READS:
                        await leave(self.service.url, ending, name, self.plan.seed)
                        continue
                    url, headers = self.service.url + PATH, {"x-request-id": name}
                    async with session.post(url, json=ending.body(name), headers=headers) as response:
                        _ = await response.read()

    def holds_when_idle(self, first: Holds | None) -> Holds:
        """Once no chat runs, Groq's idle connections have closed, and no more is held than at `first`."""
        self._wait(lambda: not any(self.gauges().values()))
        self.real.http.post(self.real.groq.root + CLOSE_IDLE).raise_for_status()
        self._wait(lambda: not self.upstream())
        found = [self._holds()]

        def settled() -> bool:
            found.append(self._holds())
            return not more(found[-1], first or found[-2]) and not more(found[-2], found[-1])

        self._wait(settled)
        return found[-1]

    def _wait(self, condition: Callable[[], bool]) -> None:
        """Until it is true, or the time has passed: then the verdict says what is wrong."""
        with suppress(AssertionError):
            wait_until(condition, "", self.plan.timeout_s)

    @cached_property
    def _worker(self) -> psutil.Process:
        return psutil.Process(self.service.pid(self.service.metrics_base))

    def _holds(self) -> Holds:
        """Descriptors are counted before the request that takes one of them."""
        memory, threads = self._worker.memory_info(), self._worker.num_threads()
        fds, sockets = self._worker.num_fds(), len(self._worker.net_connections("all"))
        response = self.real.http.get(self.service.url + INSIDE).raise_for_status()
        return {"MB": memory.rss / 1e6, "fds": fds, "sockets": sockets, "threads": threads, **response.json()}

    def gauges(self) -> dict[str, float]:
        """Those that are 0 while no chat runs."""
        samples = scrape(self.real.http, self.service.metrics_base)
        return {what: total(samples, name, **labels) for what, (name, labels) in _GAUGES.items()}

    def counted(self) -> Counter[str]:
        """Requests by outcome, as the metrics have them."""
        counts = Counter[str]()
        for sample in scrape(self.real.http, self.service.metrics_base):
            if sample.name == "chat_requests_total" and sample.value:
                counts[sample.labels["outcome"]] += int(sample.value)
        return counts

    def upstream(self) -> int:
        """Connections that Groq still holds; only the service keeps any."""
        return sum(bool(each.raddr) for each in psutil.Process(self.real.groq_pid).net_connections("tcp"))

    async def time_closings(self) -> dict[str, list[float]]:
        """Seconds from a client's `close()` until the simulator sees its connection closed, one chat at a time."""
        closings: dict[str, list[float]] = {}
        for ending in (WAITING, READING, BLOCKED):
            for number in range(self.plan.closings):
                name, before = f"{ending.model}-{number}", self.real.groq.seen()["left"]
                self.requested[name] = ending
                left_at = await leave(self.service.url, ending, name, self.plan.seed)
                async with asyncio.timeout(self.plan.timeout_s):
                    while self.real.groq.seen()["left"] <= before:  # noqa: ASYNC110 - it announces nothing
                        await asyncio.sleep(_CLOSING_POLL_S)
                closings.setdefault(ending.name, []).append(time.monotonic() - left_at)
        return closings


def _main(options: dict[str, int], folder: Path) -> tuple[str, bool]:
    if options["chats"] <= Plan.warm_up:
        sys.exit(f"CHATS: use more than {Plan.warm_up}, after which the first measurement is made")
    evidence = run(Plan(chats=options["chats"], seed=options["seed"]), folder)
    problems = judge(evidence)
    return report(evidence, problems), not problems


if __name__ == "__main__":
    sys.exit(command("leak_test", _main, chats=Plan.chats, seed=Plan.seed))
