"""How many users there are, when; how fast the simulated Groq answers them, and what it does wrong."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Population = tuple[int, float]
"""So many users, and how many are started or stopped a second until there are."""

FAULTS: dict[str, list[dict[str, Any]]] = {
    "503s": [{"status": 503, "probability": 0.3}],
    "rate-limits": [{"status": 429, "retry_after_s": 1, "probability": 0.3}],
    "cuts": [
        {"ending": "truncate", "after_tokens": 20, "probability": 0.05},
        {"ending": "eof", "after_tokens": 30, "probability": 0.05},
    ],
    "errors": [{"ending": "error_event", "after_tokens": 10, "probability": 0.1}],
    "silences": [{"silence_s": 4, "after_tokens": 15, "probability": 0.15}],
    "late-tokens": [{"first_token_delay_s": 2, "probability": 0.15}],
    "outage": [{"status": 503}],
}
"""The service's retries repair most of the 503s, and rate limits later; cuts and errors they cannot."""


@dataclass(frozen=True)
class Shape:
    """`at` has the seconds since the start, the most users there are to be, and how long it all takes.

    `reads`: users read an answer before they ask again. `calm`, a share of the time, comes before an overload: in that,
    chats may be refused. `pace` is the simulator's.
    """

    description: str
    at: Callable[[float, int, float], Population]
    reads: bool = True
    calm: float = 0
    pace: Mapping[str, float] = field(default_factory=dict)

    def settings(self, users: int) -> dict[str, str]:
        """Of a service that is started for it: in an overload, three users for each place."""
        return {"MAX_ACTIVE_STREAMS": str(max(1, users // 3))} if self.calm else {}

    def script(self, faults: Sequence[str]) -> list[dict[str, Any]]:
        """For the simulator: the faults, and the pace of all answers."""
        found = [{**self.pace, **fault} for name in faults for fault in FAULTS[name]]
        return [*found, dict(self.pace)] if self.pace else found


def _steady(_at_s: float, users: int, seconds: float) -> Population:
    return users, _rate(users, seconds / 5)


def _spike(at_s: float, users: int, seconds: float) -> Population:
    few = max(1, users // 5)
    if seconds / 3 <= at_s < seconds * 2 / 3:
        return users, float(users)
    return few, _rate(few if at_s < seconds / 3 else users, seconds / 10)


def _overload(at_s: float, users: int, seconds: float) -> Population:
    few = max(1, users // 15)
    return (few, float(few)) if at_s < _CALM * seconds else (users, _rate(users, seconds / 10))


def _rate(users: int, seconds: float) -> float:
    """In so many seconds, ten at the most: users who begin together stay together."""
    return max(1.0, users / min(10.0, max(seconds, 1.0)))


_CALM = 1 / 3

SHAPES = {
    "steady": Shape("all users start within the first seconds, and stay", _steady),
    "spike": Shape("a fifth of the users, all at once for the middle third, and a fifth again", _spike),
    "overload": Shape(
        "a fifteenth of the users, then three for each place of the service, without a pause to read",
        _overload,
        reads=False,
        calm=_CALM,
        pace={"tokens_per_s": 60, "first_token_delay_s": 0.2},  # answers of two seconds, with few tokens
    ),
}
