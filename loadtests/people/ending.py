"""How a chat ended for its user, and on which side of the objective that counts.

The service knows outcomes, a user sees a status, a code, an event or nothing at all. The codes lead back to the
outcomes by the service's own tree of errors.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from app.core.errors import ServerStopping, ServiceError
from app.core.outcomes import Outcome
from loadtests.people.answer import Answer, error_code


class Side(StrEnum):
    """What the client caused, and what a drain cut off, counts neither for the service nor against it."""

    GOOD = "good"
    BAD = "bad"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class Ending:
    """`name` is the row that it is counted in. `outcome` is None for what the service itself may not have noticed."""

    name: str
    outcome: Outcome | None = None

    def side(self, bad: frozenset[Outcome]) -> Side:
        """`bad` are the outcomes that count against the service; what it did not notice counts too."""
        if self.outcome is Outcome.COMPLETED:
            return Side.GOOD
        return Side.BAD if self.outcome is None or self.outcome in bad else Side.NEITHER


COMPLETED = Ending("chat completed", Outcome.COMPLETED)
LEFT = Ending("chat left by its user", Outcome.CLIENT_DISCONNECTED)
CUT = Ending("chat cut off without a word")
SILENT = Ending("chat given up in silence")
UNREACHED = Ending("chat without a connection")


def refused(status: int, body: bytes) -> Ending:
    """An HTTP error."""
    code = error_code(body)
    name = f"chat refused: {status} {code}" if code else f"chat refused: {status}"
    if code == ServerStopping.code:
        return Ending(name, ServerStopping.outcome)
    return Ending(name, _OUTCOMES.get(code or "") or _by_status(status))


def ended(answer: Answer) -> Ending:
    """A stream that is over. Without its receipt it is not complete, however well it looked until then."""
    if answer.done:
        return COMPLETED
    if answer.error_code is None:
        return CUT
    outcome = _OUTCOMES.get(answer.error_code, Outcome.UPSTREAM_ERROR)
    return Ending(f"chat ended by error: {answer.error_code}", outcome)


def _by_status(status: int) -> Outcome:
    """A code of Groq's own, handed on, or an error page of something in between."""
    if status == 429:
        return Outcome.UPSTREAM_RATE_LIMITED
    return Outcome.UPSTREAM_REJECTED if status < 500 else Outcome.UPSTREAM_ERROR


def _all(error: type[ServiceError]) -> Iterator[type[ServiceError]]:
    for each in error.__subclasses__():
        yield each
        yield from _all(each)


_OUTCOMES = {each.code: each.outcome for each in _all(ServiceError) if each is not ServerStopping}
