"""A run in steps: what happened in each of them, for the line that tells how far it is, and for the plots."""

import time
from dataclasses import dataclass, field

from locust.env import Environment
from locust.stats import RequestStats, calculate_response_time_percentile, diff_response_time_dicts

from loadtests.people import rows
from loadtests.people.ending import Side

_NO_TIMES: dict[int, int] = {}


@dataclass(frozen=True)
class Step:
    """`until_s` from the start, `chats_per_s` by side, percentiles in milliseconds: None where nothing was timed."""

    until_s: float
    users: int
    chats_per_s: dict[Side, float]
    first_token_ms: dict[int, float | None]
    per_token_ms: dict[int, float | None]


@dataclass
class Timeline:
    """`look` ends a step; it is asked to at regular times, until it is `over`."""

    steps: list[Step] = field(default_factory=list)
    over: bool = False
    busiest_percent: float = 0
    _began: float = field(default_factory=time.monotonic)
    _sides: dict[Side, int] = field(default_factory=lambda: dict.fromkeys(Side, 0))
    _times: dict[str, dict[int, int]] = field(default_factory=dict)

    def look(self, environment: Environment) -> Step:
        assert environment.runner is not None, "locust runs"
        stats, now_s = environment.stats, time.monotonic() - self._began
        sides = {side: rows.on_side(stats, side) for side in Side}
        took_s = now_s - (self.steps[-1].until_s if self.steps else 0)
        step = Step(
            until_s=now_s,
            users=environment.runner.user_count,
            chats_per_s={side: (sides[side] - self._sides[side]) / took_s for side in Side},
            first_token_ms=self._percentiles(stats, rows.FIRST_TOKEN),
            per_token_ms=self._percentiles(stats, rows.PER_TOKEN),
        )
        self._sides = sides
        self.steps.append(step)
        return step

    def was_busy(self, cpu_percent: float) -> None:
        """So much of a core locust took for itself."""
        self.busiest_percent = max(self.busiest_percent, cpu_percent)

    def _percentiles(self, stats: RequestStats, name: str) -> dict[int, float | None]:
        """Of those that this step has added."""
        seen = dict(rows.time_of(stats, name).response_times)
        new = diff_response_time_dicts(seen, self._times.get(name, _NO_TIMES))
        self._times[name] = seen
        count = sum(new.values())
        return {p: calculate_response_time_percentile(new, count, p / 100) if count else None for p in (50, 95)}


def progress(step: Step, stats: RequestStats) -> str:
    """A run so far, in one line."""
    done = sum(entry.num_requests for entry in rows.chats(stats))
    bad = rows.on_side(stats, Side.BAD)
    return (
        f"{step.until_s:5.0f} s  {step.users:5} users  {done:6} chats  {bad:5} bad   "
        f"now {sum(step.chats_per_s.values()):6.1f}/s, first token p95 {_ms(step.first_token_ms[95])}, "
        f"per token p95 {_ms(step.per_token_ms[95])}"
    )


def _ms(time_ms: float | None) -> str:
    return "     -   " if time_ms is None else f"{time_ms:6.4g} ms"
