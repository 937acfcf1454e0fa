"""Stored chats, for the clients that sent them. Every read is bounded in time."""

import asyncio
import time
from collections import Counter
from collections.abc import Container, Coroutine, Mapping
from typing import Any, Protocol, TypeVar
from uuid import UUID

import structlog

from app.core.chat_query import ChatPage, ChatQuery
from app.core.config import Settings
from app.core.errors import ChatNotFound, ChatRunning, ReadsExceeded, RowsUnavailable

_RETRY_AFTER_S = 2
_READS_PER_CONNECTION = 4
"""Reads of one client at a time, for each of READ_CONNECTIONS: they wait in one queue, in which others come between."""
_CLOCK_SKEW_S = 5
"""How far the clock of another machine may be ahead of this one's."""

_Result = TypeVar("_Result")

log = structlog.get_logger(__name__)


class ChatRows(Protocol):
    """Reads rows. Raises the driver's exceptions if the database does not answer."""

    async def page(self, query: ChatQuery) -> ChatPage:
        """A page of chats."""

    async def find_id(self, name: str, *, client: str | None) -> UUID | None:
        """The id of the client's chat with this id of its answer."""

    async def find(self, chat_id: UUID, *, client: str | None, messages: bool) -> Mapping[str, Any] | None:
        """The row of the client's chat, with its messages or without."""


class StoredChats:
    """One per process. A chat is named by its id (the `x-request-id` of the response) or by the id of its answer."""

    def __init__(self, settings: Settings, *, rows: ChatRows, running: Container[UUID]) -> None:
        self._rows = rows
        self._running = running
        self._timeout_s = settings.read_timeout_s
        self._max_reads = _READS_PER_CONNECTION * settings.read_connections
        self._reads: Counter[str | None] = Counter()
        self._longest_chat_s = (
            settings.body_timeout_s
            + settings.chat_timeout_s
            + settings.client_write_timeout_s
            + 2 * settings.commit_limit_s  # a commit waits for the one before it
            + settings.outbox_timeout_s
        )

    async def page(self, query: ChatQuery) -> ChatPage:
        """Raises ReadsExceeded or RowsUnavailable."""
        return await self._read(query.client, self._rows.page(query))

    async def id_of(self, name: str, *, client: str | None) -> UUID | None:
        """The id of a chat; an id itself is returned unchecked. Raises ReadsExceeded or RowsUnavailable."""
        return _chat_id(name) or await self._read(client, self._rows.find_id(name, client=client))

    async def find(self, name: str, *, client: str | None, messages: bool = False) -> Mapping[str, Any]:
        """The row of one of the client's chats, with its messages or without.

        Raises ChatNotFound; ChatRunning while a chat with this id runs, or may run on another worker; ReadsExceeded or
        RowsUnavailable.
        """
        chat_id = await self.id_of(name, client=client)
        row = None
        if chat_id is not None:
            row = await self._read(client, self._rows.find(chat_id, client=client, messages=messages))
        if row is not None:
            return row
        if chat_id is not None and (chat_id in self._running or self._may_run(chat_id)):
            raise ChatRunning(f"the chat {chat_id} is not stored yet; try again", retry_after=_RETRY_AFTER_S)
        raise ChatNotFound("you have no stored chat with this id; send an x-request-id or the id of an answer")

    def _may_run(self, chat_id: UUID) -> bool:
        """Whether its request is recent: the first bits of a UUIDv7 are the time of the request, in milliseconds."""
        age_s = time.time() - (chat_id.int >> 80) / 1000
        return -_CLOCK_SKEW_S < age_s < self._longest_chat_s

    async def _read(self, client: str | None, reading: Coroutine[Any, Any, _Result]) -> _Result:
        if self._reads[client] >= self._max_reads:
            reading.close()
            message = f"this client reads {self._max_reads} stored chats or pages at the same time already; try again"
            raise ReadsExceeded(message, retry_after=1)
        self._reads[client] += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                return await reading
        except Exception as exc:
            log.warning("stored_chats.read_failed", error=f"{type(exc).__name__}: {exc}".partition("\n")[0])
            message = f"stored chats could not be read within {self._timeout_s:g} s; try again"
            raise RowsUnavailable(message, retry_after=_RETRY_AFTER_S) from exc
        finally:
            self._reads[client] -= 1


def _chat_id(name: str) -> UUID | None:
    """Ids of chats are UUIDv7; a UUID of another version is the id of an answer."""
    try:
        chat_id = UUID(name)
    except ValueError:
        return None
    return chat_id if chat_id.version == 7 else None
