"""One run: a load on a server, what its clients saw, what it cost, and whether its signals were on."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import uvloop

from loadtests.bench.clients import Chat, Load, ask
from loadtests.bench.servers import Server, started
from loadtests.bench.stage import Stage, cpu_s
from tests.support.database import query

_WARM_UP_S = 2
_SIGNALS_S = 15


@dataclass(frozen=True)
class Run:
    """`cpu_s` is the server's; the shares are those of the time in which it, the upstream and the clients were busy."""

    chats: Sequence[Chat]
    cpu_s: float
    shares: tuple[float, float, float]

    @property
    def good(self) -> list[Chat]:
        return [chat for chat in self.chats if chat.error is None]

    @property
    def ms_per_chat(self) -> float:
        return self.cpu_s / max(1, len(self.good)) * 1e3


Runs = Mapping[str, Mapping[str, Sequence[Run]]]
"""By load, server and round."""


def percentiles_ms(runs: Sequence[Run], what: str, *percents: int) -> list[float]:
    """The nearest there are, of one of the times of all chats of these runs; NaN of none."""
    values = sorted(getattr(chat, what) for run in runs for chat in run.good) or [float("nan")]
    return [values[round(percent / 100 * (len(values) - 1))] * 1000 for percent in percents]


def measure(stage: Stage, server: Server, load: Load) -> Run:
    """Adds what goes wrong to the stage's problems. The server's time is taken when its last span has come."""
    signals, before_s, upstream_s = _signals(stage, server), cpu_s(server.pid), cpu_s(stage.real.groq_pid)
    began, clients_s = time.monotonic(), time.thread_time()
    chats = uvloop.run(ask(server.port, server.path, load, server.model))
    took_s, clients_s = time.monotonic() - began, time.thread_time() - clients_s
    upstream_s = cpu_s(stage.real.groq_pid) - upstream_s
    missing = _missing(stage, server, signals, len(chats))
    spent_s = cpu_s(server.pid) - before_s
    errors = Counter(chat.error for chat in chats if chat.error)
    problems = [f"{count} times {error}" for error, count in errors.items()] or ([missing] if missing else [])
    stage.problems.extend(
        f"{server.name}: of {len(chats)} chats with {load.tokens} tokens, {each}." for each in problems
    )
    return Run(chats, spent_s, (spent_s / took_s, upstream_s / took_s, clients_s / took_s))


def measured(stage: Stage, loads: Mapping[str, tuple[Load, Sequence[str]]], *, rounds: int) -> Runs:
    """Measure each load on those of its servers that are installed; a first, short round does not count.

    All servers run from the first round to the last. A round is over all of them, so that what else the machine does
    strikes them alike; every other one in reverse.
    """
    runs: dict[str, dict[str, list[Run]]] = {}
    with started(stage, *dict.fromkeys(name for _, names in loads.values() for name in names)) as servers:
        for what, (load, names) in loads.items():
            loaded = [server for server in servers if server.name in names]
            runs[what] = {server.name: [] for server in loaded}
            for turn in range(rounds + 1):
                for server in loaded[:: 1 if turn % 2 else -1]:
                    print(f"{what}: {server.name}, round {turn} of {rounds} ...", flush=True)
                    run = measure(stage, server, load if turn else replace(load, seconds=_WARM_UP_S))
                    runs[what][server.name] += [run] if turn else []
    return runs


def _signals(stage: Stage, server: Server) -> tuple[int, int]:
    """Of how many chats spans and rows have come so far."""
    if server.database_url is None:
        return 0, 0
    spans = int(stage.real.http.get(f"{stage.real.groq.root}/spans").text)
    rows = query(server.database_url, "SELECT count(*) AS rows FROM chat_logs")
    return spans, rows[0]["rows"]


def _missing(stage: Stage, server: Server, before: tuple[int, int], chats: int) -> str | None:
    """The signals of so many chats that have not arrived in time. It sends the service no request: that costs CPU."""
    deadline = time.monotonic() + _SIGNALS_S
    while server.database_url:
        spans, rows = (new - old for new, old in zip(_signals(stage, server), before, strict=True))
        if spans == rows == chats:
            return None
        if time.monotonic() > deadline:
            return f"{spans} had spans, and {rows} rows"
        time.sleep(0.1)
    return None
