"""What happened, as clients and troubles saw it. Times are in seconds on `time.monotonic`'s clock."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

_LOOK_AGAIN_S = 0.1


class End(StrEnum):
    """How a chat ended for its client."""

    RECEIPT = "receipt"
    """`[DONE]` was read."""
    ERROR = "error"
    """An error event was."""
    FAILED = "failed"
    """It was let in, and got an error's status, mostly Groq's."""
    REFUSED = "refused"
    """It was not let in: 503."""
    UNANSWERED = "unanswered"
    """No connection, or none that lived until the headers."""
    LEFT = "left"
    """The client hung up."""
    STALLED = "stalled"
    """The client did not read for a while, and was dropped."""
    CUT = "cut"
    """The answer broke off without a word."""
    HUNG = "hung"
    """Nothing came for longer than any limit."""


class Kind(StrEnum):
    """What goes wrong with workers and the database."""

    KILL = "kill -9"
    TERM = "kill -TERM"
    RELOAD = "reload"
    STOP = "database stop"
    HANG = "database hang"


@dataclass(slots=True)
class Chat:
    """One question, and what came of it. `asked_as` went out as `x-request-id`, `id` came back as such.

    `streamed`: an answer began. `slow`: its client stopped reading for a while, and learned late how it ended.
    """

    asked_as: str
    began: float
    ended: float = 0
    end: End = End.UNANSWERED
    id: str | None = None
    text: str = ""
    streamed: bool = False
    slow: bool = False

    @property
    def receipt(self) -> bool:
        return self.end is End.RECEIPT


@dataclass(frozen=True, slots=True)
class Incident:
    """One trouble. A worker's death has no length; a database was away from `began` to `ended`."""

    kind: Kind
    began: float
    ended: float


@dataclass
class Diary:
    """Filled while a run lasts, compared with the rows when it is over."""

    chats: list[Chat] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)

    def ask(self) -> Chat:
        """One more chat."""
        chat = Chat(f"chaos-{len(self.chats)}", time.monotonic())
        self.chats.append(chat)
        return chat

    def note(self, kind: Kind, began: float) -> None:
        """A trouble that is over now."""
        self.incidents.append(Incident(kind, began, time.monotonic()))

    @property
    def ends(self) -> Counter[End]:
        return Counter(chat.end for chat in self.chats if chat.ended)

    @property
    def struck(self) -> Counter[Kind]:
        return Counter(incident.kind for incident in self.incidents)

    @property
    def streams(self) -> int:
        """Answers that began."""
        return sum(chat.streamed for chat in self.chats)

    @property
    def receipts(self) -> int:
        return sum(chat.receipt for chat in self.chats)

    async def receipt(self, patience_s: float) -> None:
        """Returns with the next receipt: the service is well."""
        before = self.receipts
        await until(lambda: self.receipts > before, patience_s, "no chat was completed")


async def until(true: Callable[[], bool], patience_s: float, otherwise: str) -> None:
    """Waits, but not for ever."""
    deadline = time.monotonic() + patience_s
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"{otherwise} for {patience_s:g} s")
        await asyncio.sleep(_LOOK_AGAIN_S)


async def over_within(seconds: float, over: asyncio.Event) -> bool:
    """Sleeps, unless it is over before."""
    try:
        async with asyncio.timeout(seconds):
            return await over.wait()
    except TimeoutError:
        return False
