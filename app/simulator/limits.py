"""Groq's rate limits: continuously refilled buckets, and the headers that tell what is left in them."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

_MINUTE_S, _DAY_S = 60, 86_400


class Limits(BaseModel):
    """The size of one model's buckets. The defaults are never reached."""

    model_config = ConfigDict(extra="forbid")

    requests_per_minute: int = Field(default=1_000_000, gt=0)
    requests_per_day: int = Field(default=10_000_000, gt=0)
    tokens_per_minute: int = Field(default=1_000_000_000, gt=0)
    tokens_per_day: int = Field(default=1_000_000_000_000, gt=0)


FREE_PLAN = Limits(requests_per_minute=30, requests_per_day=1_000, tokens_per_minute=8_000, tokens_per_day=200_000)
"""Of both gpt-oss (console.groq.com/docs/rate-limits). Other models have others, and since May 2026 some accounts have
separate limits for input and output beside them (groq/groq-changelog#20): neither is simulated."""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """A request that does not fit; `wait_s` is None where waiting does not help."""

    kind: str
    message: str
    wait_s: float | None


class Bucket:
    """Refills at `limit` per window, so that what was used comes back `window / limit` seconds a unit."""

    def __init__(self, limit: int, window_s: float, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._window_s = window_s
        self._clock = clock
        self._level = float(limit)
        self._at = clock()

    def remaining(self) -> float:
        now = self._clock()
        self._level = min(self.limit, self._level + (now - self._at) * self.limit / self._window_s)
        self._at = now
        return self._level

    def reset_s(self) -> float:
        """When the bucket will be full again."""
        return (self.limit - self.remaining()) * self._window_s / self.limit

    def wait_s(self, amount: float) -> float:
        """How long until `amount` fits; 0 if it fits now."""
        return max(0.0, amount - self.remaining()) * self._window_s / self.limit

    def take(self, amount: float) -> None:
        self._level = self.remaining() - amount


class RateLimit:
    """The four buckets of one model."""

    def __init__(self, model: str, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._model = model
        self._requests = Bucket(limits.requests_per_day, _DAY_S, clock)
        self._tokens = Bucket(limits.tokens_per_minute, _MINUTE_S, clock)
        self._buckets = [
            ("requests", "requests per minute (RPM)", Bucket(limits.requests_per_minute, _MINUTE_S, clock)),
            ("requests", "requests per day (RPD)", self._requests),
            ("tokens", "tokens per minute (TPM)", self._tokens),
            ("tokens", "tokens per day (TPD)", Bucket(limits.tokens_per_day, _DAY_S, clock)),
        ]

    def take(self, tokens: int, *, cached: int = 0) -> Exhausted | None:
        """Takes one request of so many tokens, or says why not. Cached tokens have to fit, and are not taken."""
        for kind, unit, bucket in self._buckets:
            if kind == "tokens" and tokens > bucket.limit:
                return Exhausted(kind, self._too_large(unit, bucket, tokens), None)
        for kind, unit, bucket in self._buckets:
            amount = tokens if kind == "tokens" else 1
            if wait_s := bucket.wait_s(amount):
                return Exhausted(kind, self._exhausted(unit, bucket, amount, wait_s), wait_s)
        for kind, _, bucket in self._buckets:
            bucket.take(tokens - cached if kind == "tokens" else 1)
        return None

    def headers(self) -> dict[str, str]:
        """`x-ratelimit-*`: requests are those of the day, tokens those of the minute; resets are Go durations."""
        buckets = {"requests": self._requests, "tokens": self._tokens}
        return {
            f"x-ratelimit-{name}-{kind}": value
            for kind, bucket in buckets.items()
            for name, value in (
                ("limit", str(bucket.limit)),
                ("remaining", str(max(0, math.floor(bucket.remaining())))),
                ("reset", go_duration(bucket.reset_s())),
            )
        }

    def _too_large(self, unit: str, bucket: Bucket, tokens: int) -> str:
        return (
            f"Request too large for model `{self._model}` in organization `org_simulated` service tier `on_demand` on "
            f"{unit}: Limit {bucket.limit}, Requested {tokens}, please reduce your message size and try again."
        )

    def _exhausted(self, unit: str, bucket: Bucket, amount: float, wait_s: float) -> str:
        used = math.ceil(bucket.limit - bucket.remaining())
        return (
            f"Rate limit reached for model `{self._model}` in organization `org_simulated` service tier `on_demand` on "
            f"{unit}: Limit {bucket.limit}, Used {used}, Requested {amount}. "
            f"Please try again in {go_duration(wait_s)}."
        )


def go_duration(seconds: float) -> str:
    """As Go prints a duration: `547ms`, `7.66s`, `2m59.56s`, `1h0m3s`."""
    if seconds < 1:
        return f"{_number(seconds * 1000)}ms"
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    text = f"{hours:.0f}h" if hours else ""
    text += f"{minutes:.0f}m" if hours or minutes else ""
    return f"{text}{_number(rest)}s"


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
