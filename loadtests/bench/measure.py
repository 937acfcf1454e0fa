"""One run: a load on a server, what its clients saw, what it cost, and whether its signals were on."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import uvloop

from loadtests.bench.clients import Chat, Load, ask
from loadtests.bench.servers import NGINX, Server, nginx, started
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
    chats = uvloop.run(ask(server.port, server.path, load))
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
    """Rounds over all servers that are installed, so that what else the machine does strikes them alike.

    A first, short one does not count.
    """
    runs: dict[str, list[Run]] = {}
    with ExitStack() as stack:
        installed = [name for name in names if name != NGINX or nginx()]
        servers = [stack.enter_context(started(stage, name)) for name in installed]
        for turn in range(rounds + 1):
            for server in servers:
                print(f"{what}: {server.name}, {f'round {turn} of {rounds}' if turn else 'warm-up'} ...", flush=True)
                run = measure(stage, server, load if turn else replace(load, seconds=_WARM_UP_S))
                if turn:
                    runs.setdefault(server.name, []).append(run)
    return runs


def _signals(stage: Stage, server: Server) -> tuple[int, int]:
    """Of how many chats spans and rows have come so far."""
    if not server.signals:
        return 0, 0
    spans = int(stage.real.http.get(f"{stage.real.groq.root}/spans").text)
    rows = query(stage.real.postgres.url(), "SELECT count(*) AS rows FROM chat_logs")
    return spans, rows[0]["rows"]


def _missing(stage: Stage, server: Server, before: tuple[int, int], chats: int) -> str | None:
    """What has not come of so many chats in time. The service itself is not asked meanwhile, as that would cost it."""
    deadline = time.monotonic() + _SIGNALS_S
    while server.signals:
        spans, rows = (new - old for new, old in zip(_signals(stage, server), before, strict=True))
        if spans == rows == chats:
            return None
        if time.monotonic() > deadline:
            return f"{spans} had spans, and {rows} rows"
        time.sleep(0.1)
    return None
