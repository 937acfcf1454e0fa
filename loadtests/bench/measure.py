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


def percentile_ms(runs: Sequence[Run], what: str, percent: float) -> float:
    """The nearest there is, of one of the times of all chats of these runs; NaN of none."""
    values = sorted(getattr(chat, what) for run in runs for chat in run.good)
    return values[round(percent / 100 * (len(values) - 1))] * 1000 if values else float("nan")


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


def in_turn(stage: Stage, names: Sequence[str], load: Load, *, rounds: int, what: str) -> Mapping[str, Sequence[Run]]:
    """Starts those servers that are installed, and measures them. A first, short round does not count."""
    with started(stage, *names) as servers:
        rounds_of(stage, servers, replace(load, seconds=_WARM_UP_S), rounds=1, what=f"{what}, warm-up")
        return rounds_of(stage, servers, load, rounds=rounds, what=what)


def rounds_of(
    stage: Stage, servers: Sequence[Server], load: Load, *, rounds: int, what: str
) -> Mapping[str, Sequence[Run]]:
    """Rounds over all servers, so that what else the machine does strikes them alike; every other one in reverse."""
    runs: dict[str, list[Run]] = {server.name: [] for server in servers}
    for turn in range(rounds):
        for server in servers[:: -1 if turn % 2 else 1]:
            print(f"{what}: {server.name}, round {turn + 1} of {rounds} ...", flush=True)
            runs[server.name].append(measure(stage, server, load))
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
