"""locust's statistics as this load test keeps them: a row for each way a chat ended, and one for each time.

A row's type says on which side of the objective its chats count; times are of the type `time`. They are not in locust's
total, so that "Aggregated" is the number of chats.
"""

import math
from collections.abc import Iterator

import locust.stats
from locust.env import Environment
from locust.stats import RequestStats, StatsEntry

from loadtests.people.ending import Side
from loadtests.people.objectives import Counts

FIRST_TOKEN = "time to first token"
PER_TOKEN = "time per output token"
STREAM = "time of a whole stream"
_TIMES = (FIRST_TOKEN, PER_TOKEN, STREAM)
_TIME = "time"


def rounded_up(time_ms: float) -> float:
    """To three digits: locust would keep two, and whole milliseconds. Upwards, so that what is too late stays so."""
    if time_ms <= 0:
        return 0
    step = 10.0 ** (math.floor(math.log10(time_ms)) - 2)
    return round(math.ceil(time_ms / step - 1e-9) * step, 6)


def use_finer_times() -> None:
    """In this process: locust's module says that it may be replaced."""
    locust.stats.bucket_response_time = rounded_up  # type: ignore[assignment]


def note(environment: Environment, name: str, seconds: float | None) -> None:
    """One time more."""
    if seconds is not None:
        time_of(environment.stats, name).log(seconds * 1000, 0)  # type: ignore[arg-type]


def time_of(stats: RequestStats, name: str) -> StatsEntry:
    return stats.get(name, _TIME)


def chats(stats: RequestStats) -> Iterator[StatsEntry]:
    """The ways chats ended, most frequent first."""
    ends = [entry for (_, kind), entry in stats.entries.items() if kind != _TIME and entry.num_requests]
    yield from sorted(ends, key=lambda entry: -entry.num_requests)


def times(stats: RequestStats) -> Iterator[StatsEntry]:
    for name in _TIMES:
        yield time_of(stats, name)


def on_side(stats: RequestStats, side: Side) -> int:
    return sum(entry.num_requests for entry in chats(stats) if entry.method == side)


def counts(stats: RequestStats) -> Counts:
    return Counts(
        good=on_side(stats, Side.GOOD),
        bad=on_side(stats, Side.BAD),
        first_token_ms=_seen(stats, FIRST_TOKEN),
        per_token_ms=_seen(stats, PER_TOKEN),
    )


def _seen(stats: RequestStats, name: str) -> dict[float, int]:
    return {float(time_ms): count for time_ms, count in time_of(stats, name).response_times.items()}
