"""What is promised, as Prometheus' rules say it, and what came of it. The numbers stand in the rules alone.

They are read as text: locust's container has no library for YAML.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from app.core.outcomes import Outcome

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules" / "slo.yml"
_RATIO = re.compile(r"expr: vector\(([\d.]+)\)\s+labels: &[\w-]+\s+\{sloth_id: ([\w-]+)")
_THRESHOLD = re.compile(r'rate\((\w+)_bucket\{le="([\d.]+)"}')
_BAD = re.compile(r'rate5m\{outcome=~"([a-z_|]+)"}')


@dataclass(frozen=True)
class Objectives:
    """Ratios are those of the good among all that count; `bad` are the outcomes that count against the service."""

    availability: float
    bad: frozenset[Outcome]
    first_token: float
    first_token_s: float
    per_token: float
    per_token_s: float

    @classmethod
    def of(cls, rules: str) -> Self:
        """Raises KeyError if the rules say less."""
        ratios = {name: float(ratio) for ratio, name in _RATIO.findall(rules)}
        thresholds = {metric: float(threshold) for metric, threshold in _THRESHOLD.findall(rules)}
        [bad] = _BAD.findall(rules) or [""]
        return cls(
            availability=ratios["chat-availability"],
            bad=frozenset(map(Outcome, bad.split("|"))),
            first_token=ratios["chat-time-to-first-token"],
            first_token_s=thresholds["chat_time_to_first_token_seconds"],
            per_token=ratios["chat-time-per-output-token"],
            per_token_s=thresholds["chat_time_per_output_token_seconds"],
        )


@dataclass(frozen=True)
class Finding:
    """One objective, and what came of it: `good` of `all` that count."""

    what: str
    promised: float
    good: int
    all: int

    @property
    def measured(self) -> float | None:
        return self.good / self.all if self.all else None

    @property
    def kept(self) -> bool:
        """Never by what nothing is known of."""
        return self.measured is not None and self.measured >= self.promised

    @property
    def verdict(self) -> str:
        return "not measured" if self.measured is None else "kept" if self.kept else "missed"


@dataclass(frozen=True)
class Counts:
    """What a run came to. The times are in milliseconds, with how often each was seen."""

    good: int
    bad: int
    first_token_ms: Mapping[float, int]
    per_token_ms: Mapping[float, int]


def findings(promised: Objectives, counts: Counts) -> list[Finding]:
    return [
        Finding("chats are completed", promised.availability, counts.good, counts.good + counts.bad),
        Finding(
            f"have their first token within {promised.first_token_s:g} s",
            promised.first_token,
            *_within(counts.first_token_ms, promised.first_token_s),
        ),
        Finding(
            f"take {promised.per_token_s * 1000:g} ms or less for each token",
            promised.per_token,
            *_within(counts.per_token_ms, promised.per_token_s),
        ),
    ]


def _within(times_ms: Mapping[float, int], threshold_s: float) -> tuple[int, int]:
    good = sum(count for time_ms, count in times_ms.items() if time_ms <= threshold_s * 1000)
    return good, sum(times_ms.values())
