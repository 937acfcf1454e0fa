"""The parts of the report: each is a function from the stage, and the plan, to a section."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Timer

from loadtests.bench.clients import Load
from loadtests.bench.measure import measure, measured, percentiles_ms
from loadtests.bench.servers import ALL_OFF, ALL_ON, DIRECT, NGINX, TENSORZERO, started
from loadtests.bench.stage import Stage, rss_bytes, tree

_RATE, _RAMP_S, _HELD_S = 2, 8, 8  # so slow that one core keeps up with all open streams


@dataclass(frozen=True)
class Section:
    """`text` says in a sentence or two what was done, and what the columns are."""

    title: str
    text: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        """Markdown that can be read on a terminal."""
        lines = [self.columns, *self.rows]
        widths = [max(3, *map(len, cells)) for cells in zip(*lines, strict=True)]
        head, *body = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in lines]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *body))
        return f"### {self.title}\n\n{self.text}\n\n{table}"


def number(value: float) -> str:
    """With three digits: 0.0123, 1.23, 123, 12,345; a dash for NaN."""
    if value != value:  # noqa: PLR0124 - NaN
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass(frozen=True)
class Plan:
    """How often, and how many seconds one run takes."""

    rounds: int = 3
    run_s: float = 5
    receipt_s: float = 12
    open_streams: int = 2000
    starts: int = 3


QUICK = Plan(rounds=1, run_s=2, receipt_s=4, open_streams=500, starts=1)


def cost(stage: Stage, plan: Plan) -> Section:
    names = [NGINX, TENSORZERO, ALL_OFF, ALL_ON]
    load = Load(tokens=200, clients=50, seconds=plan.run_s)
    one_token = Load(tokens=1, clients=20, first_ms=20, seconds=plan.run_s)
    loads = {"cost of a token": (load, names), "cost of a chat": (one_token, names)}
    tokens, chats = measured(stage, loads, rounds=plan.rounds).values()
    us = {name: [run.ms_per_chat * 1000 / load.tokens for run in runs] for name, runs in tokens.items()}
    nginx = statistics.median(us.get(NGINX, [float("nan")]))

    def row(name: str) -> list[str]:
        shares = zip(*(run.shares for run in tokens[name]), strict=True)
        return [
            name,
            number(statistics.median(us[name])),
            f"{number(min(us[name]))}-{number(max(us[name]))}",
            number(statistics.median(us[name]) / nginx),
            *(f"{100 * statistics.median(share):.0f}" for share in shares),
            number(statistics.median(run.ms_per_chat for run in chats[name])),
        ]

    return Section(
        "Cost of a token and of a chat",
        f"CPU time of the server's process tree, median of {plan.rounds} rounds. µs/token: 50 streams of 400 tokens a "
        "second, 200 tokens a chat; the percentages are the load of the server and of both ends. ms/chat: chats of one "
        "token, 20 at a time.",
        ["", "µs/token", "least-most", "x nginx", "server %", "upstream %", "clients %", "ms/chat"],
        list(map(row, tokens)),
    )


def ttft(stage: Stage, plan: Plan) -> Section:
    names = [DIRECT, NGINX, TENSORZERO, ALL_OFF, ALL_ON]
    loads = {
        "ttft, 1 stream": (Load(tokens=20, seconds=plan.run_s), names),
        "ttft, 50 streams": (Load(tokens=200, clients=50, seconds=plan.run_s), names),
    }
    one, many = measured(stage, loads, rounds=2).values()

    def times(name: str) -> list[float]:
        return [*percentiles_ms(one[name], "added_s", 50), *percentiles_ms(many[name], "added_s", 50, 99)]

    direct = times(DIRECT)
    added = {name: [f"{a - b:+.2f}" for a, b in zip(times(name), direct, strict=True)] for name in one}
    return Section(
        "Time to first token",
        "In ms, without the upstream's own time. “direct” is the absolute time, the others are added to it. The 50 "
        "streams start at random times and have 400 tokens a second each.",
        ["", "1 stream p50", "50 streams p50", "50 streams p99"],
        [[name, *(map(number, direct) if name == DIRECT else added[name])] for name in one],
    )


def receipt(stage: Stage, plan: Plan) -> Section:
    load = Load(tokens=50, arrivals_per_s=50, seconds=plan.receipt_s)
    loads = {"receipt": (load, [NGINX, TENSORZERO, ALL_OFF, ALL_ON])}
    [runs] = measured(stage, loads, rounds=1).values()
    return Section(
        "Receipt",
        "From the upstream's end to `[DONE]` at the client, in ms. “all on” includes the commit of the row. Chats "
        "arrive independently of each other, 50 a second on average.",
        ["", "p50", "p99"],
        [[name, *map(number, percentiles_ms(each, "receipt_s", 50, 99))] for name, each in runs.items()],
    )


def memory(stage: Stage, plan: Plan) -> Section:
    streams = plan.open_streams
    load = Load(tokens=_RATE * (_RAMP_S + _HELD_S), rate=_RATE, clients=streams, once=True, ramp_s=_RAMP_S)
    with started(stage, ALL_ON) as [server]:
        measure(stage, server, Load(tokens=50, clients=20))
        processes = tree(server.pid)
        rss = [rss_bytes(processes)]
        print(f"memory: {streams} open streams for {load.chat_s:.0f} s ...", flush=True)
        Timer(_RAMP_S + _HELD_S / 2, lambda: rss.append(rss_bytes(processes))).start()
        run = measure(stage, server, load)
    [whole_ms] = percentiles_ms([run], "whole_s", 50)
    each_kb = (rss[1] - rss[0]) / streams / 1000
    return Section(
        f"{streams:,} open streams",
        f"“all on”, {_RATE} tokens a second each, started within {_RAMP_S} s and open together for {_HELD_S} s. Memory "
        "of the process tree. Length is the median duration of a stream, relative to the upstream's.",
        ["idle MB", "open MB", "KB/stream", "length"],
        [[*map(number, (rss[0] / 1e6, rss[1] / 1e6, each_kb)), f"{whole_ms / 1000 / load.chat_s:.3f} x"]],
    )


def start(stage: Stage, plan: Plan) -> Section:
    def begin() -> tuple[float, float, float]:
        began = time.monotonic()
        with started(stage, ALL_ON) as [server]:
            took_s = time.monotonic() - began
            time.sleep(1)
            processes = tree(server.pid)
            return took_s, rss_bytes(processes[1:]) / 1e6, rss_bytes(processes) / 1e6

    print("start ...", flush=True)
    begin()  # reads files that are not in memory yet
    found = zip(*(begin() for _ in range(plan.starts)), strict=True)
    return Section(
        "Startup",
        "The command of `make serve` with one worker and all signals, from its exec to the first 200 of `/readyz`, and "
        f"the memory one second later. Files are in the page cache. Median of {plan.starts}.",
        ["", "start s", "worker MB", "tree MB"],
        [[ALL_ON, *(number(statistics.median(column)) for column in found)]],
    )


SECTIONS: dict[str, Callable[[Stage, Plan], Section]] = {
    each.__name__: each for each in (cost, ttft, receipt, memory, start)
}
