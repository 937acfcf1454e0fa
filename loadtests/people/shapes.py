"""How many users there are, when. Pure: `users` is the most there are to be, `seconds` how long it all takes."""

from collections.abc import Callable
from dataclasses import dataclass

Population = tuple[int, float]
"""So many users, and how many come or go a second until there are."""


@dataclass(frozen=True)
class Shape:
    """`reads`: users think about an answer before they ask again. `refusals`: being refused is what it is about, and is
    no failure. `remark` is what to know when reading the figures.
    """

    told: str
    at: Callable[[float, int, float], Population]
    reads: bool = True
    refusals: bool = False
    remark: str = ""

    def population(self, at_s: float, users: int, seconds: float) -> Population | None:
        """None when it is over."""
        return None if at_s >= seconds else self.at(at_s, users, seconds)


def _steady(_at_s: float, users: int, seconds: float) -> Population:
    return users, _rate(users, seconds / 5)


def _spike(at_s: float, users: int, seconds: float) -> Population:
    calm = max(1, users // 5)
    if seconds / 3 <= at_s < seconds * 2 / 3:
        return users, float(users)
    return calm, _rate(calm if at_s < seconds / 3 else users, seconds / 10)


def _overload(_at_s: float, users: int, seconds: float) -> Population:
    return users, _rate(users, seconds / 10)


def _rate(users: int, seconds: float) -> float:
    """In so many seconds, ten at the most: whoever begins together stays together."""
    return max(1.0, users / min(10.0, max(seconds, 1.0)))


SHAPES = {
    "steady": Shape("all of them come within the first seconds, and stay", _steady),
    "spike": Shape("a fifth of them, all at once for the middle third, and a fifth again", _spike),
    "overload": Shape(
        "more than there are places, and nobody stops to read",
        _overload,
        reads=False,
        refusals=True,
        remark="An overload asks how those fare who were let in: chats refused as overloaded count as neither.",
    ),
}
PLACES = 3
"""Users of an overload for each place of the service, where that is ours to say."""
