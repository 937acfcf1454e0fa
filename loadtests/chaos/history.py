"""What is to happen, and what happened, as clients and faults saw it.

Times are in seconds on `time.monotonic`'s clock.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from tests.support.waiting import until

INTER_TOKEN_TIMEOUT_S = 2

SERVICE = {
    "GROQ_RETRY_SLEEP_BUDGET_S": "2",
    "GROQ_FIRST_TOKEN_TIMEOUT_S": "3",
    "INTER_TOKEN_TIMEOUT_S": str(INTER_TOKEN_TIMEOUT_S),
    "CHAT_TIMEOUT_S": "20",
    "CLIENT_WRITE_TIMEOUT_S": "3",
    "DRAIN_TIMEOUT_S": "4",
}

Range = tuple[float, float]
"""The least and the most, in seconds."""


@dataclass(kw_only=True)
class Plan:
    """A run lasts until so many answers have begun and each kind of incident has happened.

    `idle_bytes` is the share of Groq's answers after which bytes follow on the idle connection. Nothing is waited for
    longer than `timeout_s`: no answer, no worker, no receipt after an outage.
    """

    streams: int = 2000
    clients: int = 40
    seed: int = 0
    between_chats_s: Range = (0.1, 0.6)
    between_kills_s: Range = (1, 5)
    between_outages_s: Range = (3, 8)
    outage_s: Range = (1, 5)
    groq_faults_s: Range = (2, 5)
    idle_bytes: float = 0.1
    timeout_s: float = 60


class End(StrEnum):
    """How a chat ended for its client."""

    RECEIPT = "receipt"  # `[DONE]` was read
    ERROR = "error"  # an error event was
    FAILED = "failed"  # accepted, and answered with an error status, mostly Groq's
    REFUSED = "refused"  # not accepted: 503
    UNANSWERED = "unanswered"  # no connection, or it ended before the headers
    LEFT = "left"  # the client disconnected
    STALLED = "stalled"  # the client did not read for a while, and was disconnected
    CUT = "cut"  # the answer broke off without an error
    HUNG = "hung"  # nothing came for longer than any limit


class Kind(StrEnum):
    """What happens to workers and the database."""

    KILL = "kill -9"
    TERM = "kill -TERM"
    RELOAD = "reload"
    STOP = "database stop"
    HANG = "database hang"


@dataclass(slots=True)
class Chat:
    """One chat of a client. `client_request_id` is its prompt, and its `x-request-id`; `id` is the service's.

    `streamed`: an answer began. `slow`: its client stopped reading for a while, and learned late how it ended.
    """

    client_request_id: str
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
    """A worker's death has no length; a database was unavailable from `began` to `ended`."""

    kind: Kind
    began: float
    ended: float


@dataclass
class History:
    """Filled during a run, compared with the rows at its end."""

    chats: list[Chat] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)

    def ask(self) -> Chat:
        chat = Chat(f"chaos-{len(self.chats)}", time.monotonic())
        self.chats.append(chat)
        return chat

    def add(self, kind: Kind, began: float) -> None:
        """An incident that ends now."""
        self.incidents.append(Incident(kind, began, time.monotonic()))

    def of(self, *kinds: Kind) -> list[Incident]:
        return [incident for incident in self.incidents if incident.kind in kinds]

    @property
    def ends(self) -> Counter[End]:
        return Counter(chat.end for chat in self.chats if chat.ended)

    @property
    def happened(self) -> Counter[Kind]:
        return Counter(incident.kind for incident in self.incidents)

    @property
    def streams(self) -> int:
        """Answers that began."""
        return sum(chat.streamed for chat in self.chats)

    async def next_receipt(self, timeout_s: float) -> None:
        """Returns with the next receipt: the service works."""
        before = self.ends[End.RECEIPT]
        await until(lambda: self.ends[End.RECEIPT] > before, "no chat was completed", timeout_s)


async def set_within(seconds: float, event: asyncio.Event) -> bool:
    """Sleeps, unless the event is set before."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
