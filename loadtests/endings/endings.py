"""The ways to end: what Groq does, what the client does, and what the row has to say of it."""

import random
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from app.core.outcomes import Outcome
from loadtests.endings.plan import FEW_VALUES, LITTLE_BODY


class Manner(Enum):
    """What the client does."""

    READS = auto()
    LEAVES_ASKING = auto()
    """Before the end of its own request."""
    LEAVES_AT_ONCE = auto()
    """Its request has hardly arrived."""
    LEAVES_WAITING = auto()
    """Before the first byte."""
    LEAVES_READING = auto()
    LEAVES_BLOCKED = auto()
    """It has stopped reading, and the service cannot send."""
    STALLS = auto()
    """It stops reading, and stays for longer than the service waits."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """`share` is in thousandths of all chats. `kin` says which kind of model Groq's answer comes from."""

    name: str
    share: int
    outcomes: frozenset[Outcome]
    manner: Manner = Manner.READS
    fault: dict[str, Any] = field(default_factory=dict)
    kin: str = "openai/gpt-oss-20b"
    asks: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """Faults are scripted for a model: with one for each ending, all of them happen at the same time."""
        return f"endings/{self.name.replace(' ', '-')}"

    @property
    def script(self) -> dict[str, Any]:
        """The simulator's."""
        return {"words": 40, **self.fault, "model": self.model}

    def body(self, name: str) -> dict[str, Any]:
        """What the client asks."""
        return {"model": self.model, "messages": [{"role": "user", "content": name}], **self.asks}


_TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"properties": {"city": {}}}}}
_OPENED_LATE = "groq/compound"  # it sends no opening chunk: nothing precedes the first token
_THINKS = "openai/gpt-oss-120b"
_LONG = {"words": 24_000, "tokens_per_s": 8000}  # it fills every buffer on the way, and outlasts its client
_LASTING = {"words": 200, "tokens_per_s": 100}


def _completed(name: str, share: int, fault: dict[str, Any] | None = None, **beside: Any) -> Ending:
    return Ending(name=name, share=share, outcomes=frozenset({Outcome.COMPLETED}), fault=fault or {}, **beside)


def _left(name: str, share: int, manner: Manner, fault: dict[str, Any], **beside: Any) -> Ending:
    left = frozenset({Outcome.CLIENT_DISCONNECTED})
    return Ending(name=name, share=share, outcomes=left, manner=manner, fault=fault, **beside)


def _failed(name: str, share: int, outcome: Outcome, fault: dict[str, Any], **beside: Any) -> Ending:
    return Ending(name=name, share=share, outcomes=frozenset({outcome}), fault=fault, **beside)


def _refused(name: str, share: int, **beside: Any) -> Ending:
    return Ending(name=name, share=share, outcomes=frozenset({Outcome.INVALID_REQUEST}), **beside)


WAITING = _left("leaves waiting", 60, Manner.LEAVES_WAITING, {"first_token_delay_s": 20}, kin=_OPENED_LATE)
READING = _left("leaves reading", 100, Manner.LEAVES_READING, _LASTING)
BLOCKED = _left("leaves blocked", 50, Manner.LEAVES_BLOCKED, _LONG)

ENDINGS = [
    _completed("plain", 195),
    _completed("tools", 50, asks={"tools": [_TOOL]}),
    _completed("reasoning", 50, kin=_THINKS),
    _completed("compound", 20, kin=_OPENED_LATE),
    _completed("crlf", 20, {"line_end": "\r\n"}),
    _completed("cr", 10, {"line_end": "\r"}),
    _completed("split bytes", 20, {"bytes_per_write": 5}),
    _completed("no done", 30, {"ending": "no_done"}),
    Ending(
        name="shaky",
        share=30,
        outcomes=frozenset({Outcome.COMPLETED, Outcome.UPSTREAM_ERROR}),
        fault={"status": 503, "probability": 0.5},
    ),
    _left("leaves at once", 40, Manner.LEAVES_AT_ONCE, _LASTING),
    WAITING,
    READING,
    BLOCKED,
    _failed("stalls", 8, Outcome.CLIENT_STALLED, _LONG, manner=Manner.STALLS),
    _failed("400", 30, Outcome.UPSTREAM_REJECTED, {"status": 400}),
    _failed("401", 10, Outcome.UPSTREAM_ERROR, {"status": 401}),
    _failed("413", 10, Outcome.UPSTREAM_REJECTED, {"status": 413}),
    _failed("500", 30, Outcome.UPSTREAM_ERROR, {"status": 500}),
    _failed("429", 30, Outcome.UPSTREAM_RATE_LIMITED, {"status": 429, "retry_after_s": 600}),
    _failed("error event", 20, Outcome.UPSTREAM_REJECTED, {"ending": "error_event", "after_tokens": 5}),
    _failed("error event first", 10, Outcome.UPSTREAM_REJECTED, {"ending": "error_event"}, kin=_OPENED_LATE),
    _failed("early stop", 20, Outcome.UPSTREAM_ERROR, {"ending": "early_stop", "after_tokens": 5}),
    _failed("truncate", 20, Outcome.UPSTREAM_ERROR, {"ending": "truncate", "after_tokens": 5}),
    _failed("eof", 20, Outcome.UPSTREAM_ERROR, {"ending": "eof", "after_tokens": 5}),
    _failed("garbage", 20, Outcome.UPSTREAM_ERROR, {"ending": "garbage", "after_tokens": 5}),
    _failed("silence", 20, Outcome.UPSTREAM_TIMEOUT, {"silence_s": 4, "after_tokens": 5}),
    _failed("no first token", 10, Outcome.UPSTREAM_TIMEOUT, {"first_token_delay_s": 4}),
    _failed("no first byte", 7, Outcome.UPSTREAM_TIMEOUT, {"first_byte_delay_s": 4}),
    _refused("bad input", 30, asks={"temperature": 9}),
    _refused("many values", 15, asks={"x": [[]] * FEW_VALUES}),
    _refused("large body", 15, asks={"user": "x" * LITTLE_BODY}),
    _refused("leaves asking", 15, manner=Manner.LEAVES_ASKING),
]


def choose(seed: int, number: int) -> Ending:
    """The ending of a chat: its own, whoever asks for it and when. The first chats end in every way once."""
    if number < len(ENDINGS):
        return ENDINGS[number]
    rng = random.Random(f"{seed}:ending {number}")
    return rng.choices(ENDINGS, weights=[ending.share for ending in ENDINGS])[0]
