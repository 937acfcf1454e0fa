"""How a chat ended for its user, and the service level objectives, read from Prometheus' rules.

The rules are read as text: locust's container has no library for YAML.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from app.core.errors import Overloaded, ServerDraining, ServiceError
from app.core.outcomes import Outcome
from loadtests.harness.answer import Answer, error_code

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules" / "slo.yml"
_RATIO = re.compile(r"expr: vector\(([\d.]+)\)\s+labels: &[\w-]+\s+\{sloth_id: ([\w-]+)")
_LIMIT = re.compile(r'rate\((\w+)_bucket\{le="([\d.]+)"}')
_BAD = re.compile(r'rate5m\{outcome=~"([a-z_|]+)"}')

Times = Mapping[float, int]
"""Milliseconds, with how often each was measured."""


class Side(StrEnum):
    """What the client caused, and what a drain cut off, counts neither for the service nor against it."""

    GOOD = "good"
    BAD = "bad"
    NEITHER = "neither"


Ending = tuple[str, Outcome | None]
"""Its row in the statistics, and the outcome; None for what the service itself may not have noticed."""

COMPLETED: Ending = ("chat completed", Outcome.COMPLETED)
LEFT: Ending = ("chat left by its user", Outcome.CLIENT_DISCONNECTED)
CUT: Ending = ("chat cut off without an error", None)
SILENT: Ending = ("chat given up in silence", None)
UNREACHED: Ending = ("chat without a connection", None)


def side(outcome: Outcome | None, bad: frozenset[Outcome]) -> Side:
    """`bad` are the outcomes that count against the service; what it did not notice counts too."""
    if outcome is Outcome.COMPLETED:
        return Side.GOOD
    return Side.BAD if outcome is None or outcome in bad else Side.NEITHER


def refused(status: int, body: bytes, retry_after: str | None = None) -> Ending:
    """An HTTP error. An overload without a `Retry-After` is a failure of the service."""
    code = error_code(body)
    name = f"chat refused: {status} {code or ''}".rstrip()
    if code == Overloaded.code and not (status == Overloaded.status and retry_after):
        return f"{name}, without Retry-After", None
    if code == ServerDraining.code:
        return name, ServerDraining.outcome
    if code not in _OUTCOMES and status < 500:  # a code of Groq's, passed on
        return name, Outcome.UPSTREAM_RATE_LIMITED if status == 429 else Outcome.UPSTREAM_REJECTED
    return name, _OUTCOMES.get(code or "", Outcome.UPSTREAM_ERROR)


def ended(answer: Answer) -> Ending:
    """A stream that is over. Without its receipt it is not complete."""
    if answer.done:
        return COMPLETED
    if answer.error_code is None:
        return CUT
    return f"chat ended by error: {answer.error_code}", _OUTCOMES.get(answer.error_code, Outcome.UPSTREAM_ERROR)


def _all(error: type[ServiceError]) -> Iterator[type[ServiceError]]:
    for each in error.__subclasses__():
        yield each
        yield from _all(each)


_OUTCOMES = {each.code: each.outcome for each in _all(ServiceError) if each is not ServerDraining}


@dataclass(frozen=True)
class Objectives:
    """`ratio`, by SLO, is that of the good; `limit_s` is by metric; `bad` outcomes count against the service."""

    ratio: Mapping[str, float]
    limit_s: Mapping[str, float]
    bad: frozenset[Outcome]

    @classmethod
    def of(cls, rules: str) -> Self:
        return cls(
            {slo: float(ratio) for ratio, slo in _RATIO.findall(rules)},
            {metric: float(limit) for metric, limit in _LIMIT.findall(rules)},
            frozenset(map(Outcome, _BAD.findall(rules)[0].split("|"))),
        )


@dataclass(frozen=True)
class Finding:
    """One objective: `good` of `all` that count."""

    what: str
    objective: float
    good: int
    all: int

    @property
    def met(self) -> bool:
        """Not if there was nothing that counts."""
        return self.all > 0 and self.good >= self.objective * self.all

    def __str__(self) -> str:
        verdict = "not measured" if not self.all else "met" if self.met else "missed"
        measured = f"{100 * self.good / self.all:.4g} %" if self.all else "-"
        return f"{self.what:<50} {100 * self.objective:5g} %  {measured:>7} of {self.all:<6} {verdict}"


def findings(objectives: Objectives, good: int, bad: int, first_token: Times, per_token: Times) -> list[Finding]:
    ratio, limit_s = objectives.ratio, objectives.limit_s
    ttft_s, token_s = limit_s["chat_time_to_first_token_seconds"], limit_s["chat_time_per_output_token_seconds"]
    what = f"have their first token within {ttft_s:g} s", f"take {1000 * token_s:g} ms or less for each token"
    return [
        Finding("chats are completed", ratio["chat-availability"], good, good + bad),
        _within(what[0], ratio["chat-time-to-first-token"], first_token, ttft_s * 1000),
        _within(what[1], ratio["chat-time-per-output-token"], per_token, token_s * 1000),
    ]


def overload_findings(calm_p95_ms: int, first_token: Times, refusals: Times) -> list[Finding]:
    """Those who are let in notice nothing, and the others are refused quickly."""
    limit_ms = 2 * calm_p95_ms
    return [
        _within(f"... within twice the calm's p95, {limit_ms} ms", 0.95, first_token, limit_ms),
        _within("are refused within 1 s, with Retry-After", 0.99, refusals, 1000),
    ]


def _within(what: str, objective: float, times: Times, limit_ms: float) -> Finding:
    good = sum(count for time_ms, count in times.items() if time_ms <= limit_ms)
    return Finding(what, objective, good, sum(times.values()))
