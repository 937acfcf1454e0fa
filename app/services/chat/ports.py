"""What a chat needs from other packages, as protocols: a provider, a record store, telemetry and quotas."""

import time
from asyncio import Future
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from app.core.errors import ServiceError
from app.core.models import ModelPrice
from app.core.record import ChatRecord, StoredIn
from app.core.upstream import Attempt
from app.schemas.chat import ChatRequest
from app.services.chat.block import Block

# ── The request ──────────────────────────────────────────────────────────────────────────────────────────────────────


class BodyMemory(Protocol):
    """The memory of a request body, counted until every holder has released it: the request, and the chat."""

    def hold(self) -> None:
        """Adds the chat as a holder."""

    def release(self) -> None:
        """Removes a holder."""


class _Uncounted:
    def hold(self) -> None:
        pass

    def release(self) -> None:
        pass


UNCOUNTED: BodyMemory = _Uncounted()
"""The memory of a request whose body is not counted."""


@dataclass(slots=True)
class Connection:
    """The client's connection, and when it was lost or accepted no more data.

    `chat_continues`: the client asked, with `x-continue-on-disconnect`, for its chat to be read to its end without it.
    `lost_at` is in seconds on `time.monotonic`'s clock; None while the client receives its answer.
    """

    chat_continues: bool = False
    lost_at: float | None = None

    def lose(self) -> None:
        """The client disconnected, or accepts no data. Later calls change nothing."""
        if self.lost_at is None:
            self.lost_at = time.monotonic()


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What is known of a request beside its body. `client` is the name of the API key, None without keys.

    `request_id` is the id of the chat's row; `client_request_id` is what the client sent as `x-request-id`.
    `body_bytes` is the size of the body, `body_memory` what it occupies.
    `arrived` is when the request's last byte had arrived, in seconds on `time.monotonic`'s clock.
    """

    request_id: UUID
    client_request_id: str | None = None
    client: str | None = None
    route: str | None = None
    body_bytes: int = 0
    body_memory: BodyMemory = UNCOUNTED
    connection: Connection = field(default_factory=Connection)
    arrived: float = field(default_factory=time.monotonic)


class RequestCheck(Protocol):
    """A step before the request is sent to the provider, such as moderation."""

    async def __call__(self, request: ChatRequest, context: RequestContext) -> None:
        """Raises a subclass of InvalidRequest to refuse the request, which then has no row but a log line and a metric.

        Any other exception is an internal error.
        """


# ── The provider ─────────────────────────────────────────────────────────────────────────────────────────────────────


class UpstreamAnswer(Protocol):
    """An answer that has started. An answer that is not streamed has a single block, the whole body."""

    async def read(self) -> Block:
        """Returns everything that arrived since the last read; waits if nothing has.

        Tokens that arrive fast are returned in larger blocks. A broken connection is a block with an error.
        """

    async def aclose(self) -> None:
        """Stops the answer, so that the provider stops generating. Bounded in time; never raises."""


class Upstream(Protocol):
    """A provider of chat completions."""

    async def open(self, payload: Mapping[str, Any], *, on_attempt: Callable[[Attempt], None]) -> UpstreamAnswer:
        """Returns at the first progress of a stream, or with the whole answer if `payload` has no `stream`.

        Values of `payload` that the service does not read are unparsed JSON (`msgspec.Raw`).

        Raises an UpstreamError if every attempt failed. `on_attempt` is called when an attempt ends: at its first
        token, at the end of an answer that is not streamed, or at its failure. The last attempt may use another model.
        """


class Prices(Protocol):
    """The prices of models."""

    def price(self, model_id: str) -> ModelPrice | None:
        """In US dollars per million tokens; None if unknown."""


# ── Rows, telemetry, quotas ──────────────────────────────────────────────────────────────────────────────────────────


class RecordStore(Protocol):
    """Stores the records of chats."""

    @property
    def free_bytes(self) -> int:
        """The bytes of rows that can still be reserved; negative if two workers took the last ones at the same time.

        While the database is healthy, the free space of the disk does not count.
        """

    def reserve(self, row_bytes: int) -> None:
        """Reserves space for a row, shared by all workers of the machine; a negative number releases it."""

    def add(self, record: ChatRecord) -> Future[StoredIn]:
        """Queues the record before it returns, so that cancelling the wait cannot lose it.

        The future is done when the row is durable, and says where it is stored. Its exception is PersistenceFailed if
        the row could not be stored.
        """


class ChatTelemetry(Protocol):
    """The telemetry of one chat. Its methods never raise."""

    @property
    def traceparent(self) -> str | None:
        """The chat's span in the form of W3C's header; None if it is not traced."""

    def attempted(self, attempt: Attempt) -> None:
        """Called for each attempt when it ends (`Upstream.open`)."""

    def finished(
        self,
        record: ChatRecord,
        error: ServiceError | None,
        *,
        commit_s: float,
        stored_in: StoredIn | None,
        failure: ServiceError | None,
    ) -> None:
        """Called once, when the row is durable (`stored_in`) or could not be stored (`failure`), after `commit_s`."""


class Telemetry(Protocol):
    """The telemetry of all chats. Its methods never raise."""

    def chat_began(
        self, chat_id: UUID, payload: Mapping[str, Any], *, arrived: float, admitted: float, queue_s: float
    ) -> ChatTelemetry:
        """Called when a chat was admitted and checked; `payload` is the request for the provider.

        `arrived` is when the request had arrived, on `time.monotonic`'s clock: the record's times count from there. It
        was `admitted` after it had waited for `queue_s`.
        """


class ChatQuota(Protocol):
    """Charges chats to the quotas of their clients."""

    def ended(self, record: ChatRecord) -> None:
        """Called when an admitted chat has ended. Returns at once, never raises."""
