"""How many chats, and the ways to end: what Groq does, what the client does, the outcome that the row has to have."""

import random
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import partial
from itertools import pairwise
from typing import Any

from app.core.outcomes import Outcome

CLIENT_WRITE_TIMEOUT_S = 2
MAX_BODY_BYTES = 65_536
MAX_BODY_VALUES = 1000

SERVICE = {
    "GROQ_RETRY_SLEEP_BUDGET_S": "0.5",
    "GROQ_FIRST_TOKEN_TIMEOUT_S": "2",
    "INTER_TOKEN_TIMEOUT_S": "2",
    "CLIENT_WRITE_TIMEOUT_S": str(CLIENT_WRITE_TIMEOUT_S),
    "CLIENT_BUFFER_BYTES": "16384",
    "MAX_BODY_BYTES": str(MAX_BODY_BYTES),
    "MAX_BODY_VALUES": str(MAX_BODY_VALUES),
    "OTEL_BSP_SCHEDULE_DELAY": "500",
}


@dataclass(kw_only=True)
class Plan:
    """The worker is measured after `warm_up` chats, and again after every `stretch` of them.

    Each way to leave is timed `closings` times. Nothing is waited for longer than `timeout_s`.
    """

    chats: int = 10_000
    warm_up: int = 500
    stretch: int = 1000
    clients: int = 30
    closings: int = 50
    seed: int = 0
    timeout_s: float = 30

    @property
    def stretches(self) -> list[range]:
        """The numbers of the chats between two measurements of the worker."""
        ends = [0, self.warm_up, *range(self.stretch, self.chats, self.stretch), self.chats]
        return [range(first, last) for first, last in pairwise(sorted({end for end in ends if end <= self.chats}))]


class Behaviour(Enum):
    """What the client does."""

    READS = auto()
    LEAVES_SENDING = auto()  # before the end of its own request
    LEAVES_AT_ONCE = auto()  # its request has hardly arrived
    LEAVES_WAITING = auto()  # before the first byte
    LEAVES_READING = auto()
    LEAVES_BLOCKED = auto()  # it has stopped reading, and the service cannot send
    STALLS = auto()  # it stops reading, and stays for longer than the service waits


@dataclass(frozen=True, kw_only=True)
class Ending:
    """`share` is in thousandths of all chats. `kin` is the model that the answers are like."""

    name: str
    share: int
    outcomes: frozenset[Outcome]
    behaviour: Behaviour = Behaviour.READS
    fault: dict[str, Any] = field(default_factory=dict)
    kin: str = "openai/gpt-oss-20b"
    asks: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """Faults are scripted for a model: with one for each ending, all of them can happen at the same time."""
        return f"leak/{self.name.replace(' ', '-')}"

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
_CONTINUE = {"x-continue-on-disconnect": "true"}


def _ending(outcome: Outcome, name: str, share: int, fault: dict[str, Any] | None = None, **more: Any) -> Ending:
    return Ending(name=name, share=share, outcomes=frozenset({outcome}), fault=fault or {}, **more)


_completed = partial(_ending, Outcome.COMPLETED)
_left = partial(_ending, Outcome.CLIENT_DISCONNECTED)
_refused = partial(_ending, Outcome.INVALID_REQUEST)
_rejected = partial(_ending, Outcome.UPSTREAM_REJECTED)
_failed = partial(_ending, Outcome.UPSTREAM_ERROR)
_timed_out = partial(_ending, Outcome.UPSTREAM_TIMEOUT)

WAITING = _left("leaves waiting", 60, {"first_token_delay_s": 20}, behaviour=Behaviour.LEAVES_WAITING, kin=_OPENED_LATE)
READING = _left("leaves reading", 100, _LASTING, behaviour=Behaviour.LEAVES_READING)
BLOCKED = _left("leaves blocked", 50, _LONG, behaviour=Behaviour.LEAVES_BLOCKED)

ENDINGS = [
    _completed("plain", 160),
    _completed("continues", 30, _LASTING, behaviour=Behaviour.LEAVES_READING, headers=_CONTINUE),
    _completed("continues stalled", 5, _LONG, behaviour=Behaviour.STALLS, headers=_CONTINUE),
    _completed("tools", 50, asks={"tools": [_TOOL]}),
    _completed("reasoning", 50, kin=_THINKS),
    _completed("compound", 20, kin=_OPENED_LATE),
    _completed("crlf", 20, {"line_end": "\r\n"}),
    _completed("cr", 10, {"line_end": "\r"}),
    _completed("split bytes", 20, {"bytes_per_write": 5}),
    _completed("no done", 30, {"ending": "no_done"}),
    replace(
        _completed("shaky", 30, {"status": 503, "probability": 0.5}),
        outcomes=frozenset({Outcome.COMPLETED, Outcome.UPSTREAM_ERROR}),
    ),
    _left("leaves at once", 40, _LASTING, behaviour=Behaviour.LEAVES_AT_ONCE),
    WAITING,
    READING,
    BLOCKED,
    _ending(Outcome.CLIENT_STALLED, "stalls", 8, _LONG, behaviour=Behaviour.STALLS),
    _rejected("400", 30, {"status": 400}),
    _failed("401", 10, {"status": 401}),
    _rejected("413", 10, {"status": 413}),
    _failed("500", 30, {"status": 500}),
    _ending(Outcome.UPSTREAM_RATE_LIMITED, "429", 30, {"status": 429, "retry_after_s": 600}),
    _rejected("error event", 20, {"ending": "error_event", "after_tokens": 5}),
    _rejected("error event first", 10, {"ending": "error_event"}, kin=_OPENED_LATE),
    _failed("early stop", 20, {"ending": "early_stop", "after_tokens": 5}),
    _failed("truncate", 20, {"ending": "truncate", "after_tokens": 5}),
    _failed("eof", 20, {"ending": "eof", "after_tokens": 5}),
    _failed("garbage", 20, {"ending": "garbage", "after_tokens": 5}),
    _timed_out("silence", 20, {"silence_s": 4, "after_tokens": 5}),
    _timed_out("no first token", 10, {"first_token_delay_s": 4}),
    _timed_out("no first byte", 7, {"first_byte_delay_s": 4}),
    _refused("bad input", 30, asks={"temperature": 9}),
    _refused("many values", 15, asks={"x": [[]] * MAX_BODY_VALUES}),
    _refused("large body", 15, asks={"user": "x" * MAX_BODY_BYTES}),
    _refused("leaves sending", 15, behaviour=Behaviour.LEAVES_SENDING),
]


def choose(seed: int, number: int) -> Ending:
    """The ending of a chat, by its number alone. The first chats end in every way once."""
    if number < len(ENDINGS):
        return ENDINGS[number]
    rng = random.Random(f"{seed}:ending {number}")
    return rng.choices(ENDINGS, weights=[ending.share for ending in ENDINGS])[0]
