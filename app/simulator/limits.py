"""Groq's rate limits, continuously refilled buckets, and its prompt cache, whose tokens do not count toward them."""

import hashlib
import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.simulator.errors import Refused

_MINUTE_S, _DAY_S = 60, 86_400
_CACHE_BLOCK_TOKENS = 128
_MAX_PREFIXES = 4096


class Limits(BaseModel):
    """The sizes of one model's buckets. The defaults are never reached."""

    model_config = ConfigDict(extra="forbid")

    requests_per_minute: int = Field(default=1_000_000, gt=0)
    requests_per_day: int = Field(default=10_000_000, gt=0)
    tokens_per_minute: int = Field(default=1_000_000_000, gt=0)
    tokens_per_day: int = Field(default=1_000_000_000_000, gt=0)


FREE_PLAN = Limits(requests_per_minute=30, requests_per_day=1_000, tokens_per_minute=8_000, tokens_per_day=200_000)
"""The limits of Groq's free plan for both gpt-oss models."""


class Bucket:
    """Refills at `limit` per window: each unit comes back `window / limit` seconds after it was used."""

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

    def take(self, tokens: int, *, cached: int = 0) -> None:
        """Take one request of so many tokens. Cached tokens have to fit, and are not taken.

        Raises Refused: 413 for what can never fit, else 429 with the wait.
        """
        amounts = {"requests": 1, "tokens": tokens}
        name = f"model `{self._model}` in organization `org_simulated` service tier `on_demand`"
        for kind, unit, bucket in self._buckets:
            if amounts[kind] > bucket.limit:
                why = f"Limit {bucket.limit}, Requested {tokens}, please reduce your message size and try again."
                raise Refused(413, f"Request too large for {name} on {unit}: {why}", kind, code="rate_limit_exceeded")
        for kind, unit, bucket in self._buckets:
            if wait_s := bucket.wait_s(amounts[kind]):
                used = math.ceil(bucket.limit - bucket.remaining())
                why = f"Limit {bucket.limit}, Used {used}, Requested {amounts[kind]}."
                message = f"Rate limit reached for {name} on {unit}: {why} Please try again in {go_duration(wait_s)}."
                raise Refused(429, message, kind, math.ceil(wait_s), code="rate_limit_exceeded")
        for kind, _, bucket in self._buckets:
            bucket.take(amounts[kind] - (cached if kind == "tokens" else 0))

    def headers(self) -> dict[str, str]:
        """`x-ratelimit-*`: requests are those of the day, tokens those of the minute; resets are Go durations."""
        headers: dict[str, str] = {}
        for kind, bucket in (("requests", self._requests), ("tokens", self._tokens)):
            headers[f"x-ratelimit-limit-{kind}"] = str(bucket.limit)
            headers[f"x-ratelimit-remaining-{kind}"] = str(max(0, math.floor(bucket.remaining())))
            headers[f"x-ratelimit-reset-{kind}"] = go_duration(bucket.wait_s(bucket.limit))
        return headers


def go_duration(seconds: float) -> str:
    """As Go prints a duration: `547ms`, `7.66s`, `2m59.56s`, `1h0m3s`."""
    if seconds < 1:
        return f"{round(seconds * 1000, 3):g}ms"
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    text = f"{hours:.0f}h" if hours else ""
    text += f"{minutes:.0f}m" if hours or minutes else ""
    return f"{text}{round(rest, 3):g}s"


class PromptCache:
    """Hashes of the prefixes of prompts: the tools, and the messages up to each of them.

    Groq's own finds any common prefix, most of the time, for two hours. This one compares whole messages and always
    finds them: the same requests in the same order have the same counts, in multiples of 128 as Groq's.
    """

    def __init__(self) -> None:
        self._prefixes: OrderedDict[bytes, None] = OrderedDict()

    def cached_tokens(self, body: dict[str, Any]) -> int:
        """How many tokens of the prompt were read before, with the same prefix."""
        cached = max((tokens for digest, tokens in _prefixes(body) if digest in self._prefixes), default=0)
        return cached // _CACHE_BLOCK_TOKENS * _CACHE_BLOCK_TOKENS

    def remember(self, body: dict[str, Any]) -> None:
        for digest, _ in _prefixes(body):
            self._prefixes[digest] = None
            self._prefixes.move_to_end(digest)
        while len(self._prefixes) > _MAX_PREFIXES:
            self._prefixes.popitem(last=False)


def _prefixes(body: dict[str, Any]) -> Iterator[tuple[bytes, int]]:
    """Each beginning that is long enough to be cached: its hash, and the tokens of its messages."""
    running = hashlib.blake2b(json.dumps([body["model"], body.get("tools")]).encode(), digest_size=16)
    characters = 0
    for message in body["messages"]:
        text = json.dumps(message, ensure_ascii=False)
        running.update(text.encode("utf-8", "surrogatepass") + b"\n")
        characters += len(text) + 2
        if (tokens := characters // 4 + 1) >= _CACHE_BLOCK_TOKENS:
            yield running.digest(), tokens
