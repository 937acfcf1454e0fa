"""Queries on `chat_logs`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Insert, delete, desc, false, func, insert, literal_column, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.core.chat_query import ChatPage, ChatQuery
from app.core.outcomes import Outcome
from app.core.record import NO_MESSAGES, ChatRecord
from app.core.text import storable
from app.db.errors import commit_error
from app.db.models import ChatLog
from app.db.session import create_session_factory

_COLUMNS = tuple(column.key for column in ChatLog.__table__.columns)
_EXCERPT = 200
_EXCERPTS = {"prompt": func.substr(ChatLog.prompt, 1, _EXCERPT).label("prompt")}
_LONG = {"messages", "params"}
_SUMMARY = tuple(_EXCERPTS.get(each.key, each) for each in ChatLog.__table__.columns if each.key not in _LONG)
_WITH_CONTENT = ChatLog.messages.is_not(None).label("has_content")
_LIMITS = text(
    "SELECT set_config('statement_timeout', :milliseconds, true),"
    " set_config('plan_cache_mode', 'force_custom_plan', true)"
)
"""Sets the time limit of one transaction, and plans its query with the values: some outcomes are rare, others not."""
_FETCH_ROWS = 10
_PAGE_BYTES = 2**22
"""4 MiB of text: a page with longer answers has fewer chats."""


class ChatLogRepository:
    """Each call takes a connection from the pool and returns it: none is held while a stream runs.

    PostgreSQL stops a statement that reads for longer than `read_timeout_s`; 0 is no limit.
    """

    def __init__(self, engine: AsyncEngine, *, read_timeout_s: float = 0) -> None:
        self._engine = engine
        self._read_timeout_s = read_timeout_s
        self._is_postgres = engine.dialect.name == "postgresql"
        self._sessions = create_session_factory(engine)
        dialect = postgresql if self._is_postgres else sqlite
        self._insert: Insert = dialect.insert(ChatLog).on_conflict_do_nothing(index_elements=["id"])
        # asyncpg sends all rows of a batch in one round trip, which is one transaction. SQLite would commit each row.
        self._writing = engine.execution_options(isolation_level="AUTOCOMMIT") if dialect is postgresql else engine

    async def insert(self, records: Sequence[ChatRecord]) -> None:
        """Commits all records or none; ids that exist are ignored. Raises a CommitError."""
        try:
            rows = [_row(record) for record in records]
            await self._execute(rows)
        except Exception as exc:
            raise commit_error(exc) from exc

    async def _execute(self, rows: Sequence[Mapping[str, Any]], *, may_repeat: bool = True) -> None:
        """Executes the insert, once more if the pooled connection was closed: a ping before each insert is slower."""
        try:
            async with self._writing.begin() as connection:
                await connection.execute(self._insert, rows)
        except DBAPIError as exc:
            if not (may_repeat and exc.connection_invalidated):
                raise
            await self._execute(rows, may_repeat=False)

    async def page(self, query: ChatQuery) -> ChatPage:
        """Returns a page of chats, in the order of their ids, which is that of their times.

        Each row has a column more, `has_content`.
        """
        columns = ChatLog.__table__.columns if query.whole else _SUMMARY
        statement = select(*columns, _WITH_CONTENT).where(*_conditions(query)).order_by(*_order(query))
        rows: list[Mapping[str, Any]] = []
        page_bytes = 0
        async with self._reading() as session:
            result = await session.stream(statement.limit(query.limit + 1).execution_options(yield_per=_FETCH_ROWS))
            async for row in result.mappings():
                if len(rows) == query.limit or page_bytes > _PAGE_BYTES:
                    return ChatPage(rows, has_more=True)
                rows.append(dict(row))
                page_bytes += sum(map(_text_bytes, row.values()))
        return ChatPage(rows, has_more=False)

    async def find_id(self, name: str, *, client: str | None) -> UUID | None:
        """Returns the id of the client's chat with this `upstream_response_id`, the last one if there are several."""
        named = ChatLog.upstream_response_id == storable(name)
        statement = select(ChatLog.id).where(named, ChatLog.client == client).order_by(desc(ChatLog.id)).limit(1)
        async with self._reading() as session:
            return await session.scalar(statement)

    async def find(self, chat_id: UUID, *, client: str | None, messages: bool) -> Mapping[str, Any] | None:
        """Returns the client's chat, with `messages`, which may be long, or without; None if there is no such row."""
        columns = (each for each in ChatLog.__table__.columns if messages or each.key != "messages")
        statement = select(*columns, _WITH_CONTENT)
        async with self._reading() as session:
            result = await session.execute(statement.where(ChatLog.id == chat_id, ChatLog.client == client))
            row = result.mappings().one_or_none()
            return None if row is None else dict(row)

    async def delete_older(self, moment: datetime, *, limit: int) -> int:
        """Deletes up to `limit` rows of chats before `moment`; returns their number."""
        return await self._delete(ChatLog.id < _first_id(moment), limit)

    async def delete_of(self, end_user: str, *, limit: int) -> int:
        """Deletes up to `limit` rows of an end user's chats; returns their number."""
        return await self._delete(ChatLog.end_user == storable(end_user), limit)

    async def _delete(self, condition: ColumnElement[bool], limit: int) -> int:
        rows = select(ChatLog.id).where(condition).order_by(ChatLog.id).limit(limit)
        async with self._sessions.begin() as session:
            result = await session.execute(delete(ChatLog).where(ChatLog.id.in_(rows)).returning(ChatLog.id))
            return len(result.all())

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncSession]:
        async with self._sessions() as session:
            if self._is_postgres:
                await session.execute(_LIMITS, {"milliseconds": f"{self._read_timeout_s * 1000:.0f}"})
            yield session

    async def ping(self) -> None:
        """Inserts no rows. Raises NotMigrated, or another CommitError if the database is down or read-only."""
        none = select(*ChatLog.__table__.columns).where(false())
        try:
            async with self._engine.begin() as connection:
                await connection.execute(insert(ChatLog).from_select(_COLUMNS, none))
        except Exception as exc:
            raise commit_error(exc) from exc


def _row(record: ChatRecord) -> dict[str, Any]:
    row = {name: getattr(record, name) for name in _COLUMNS}
    if record.messages == NO_MESSAGES:
        row["messages"] = None
    return row


def _conditions(query: ChatQuery) -> list[ColumnElement[bool]]:
    texts = {
        ChatLog.model_name: query.model,
        ChatLog.outcome: query.outcome,
        ChatLog.error_code: query.error_code,
        ChatLog.end_user: query.end_user,
    }
    conditions = [column == storable(value) for column, value in texts.items() if value is not None]
    if query.outcome not in (None, Outcome.COMPLETED):
        conditions.append(ChatLog.outcome != literal_column("'completed'"))  # as the index of these rows has it
    if not query.any_client:
        conditions.append(ChatLog.client == query.client)
    if query.since is not None:
        conditions.append(ChatLog.id >= _first_id(query.since))
    if query.until is not None:
        conditions.append(ChatLog.id < _first_id(query.until))
    if query.after is not None:
        conditions.append(ChatLog.id < query.after if query.newest_first else ChatLog.id > query.after)
    return conditions


def _order(query: ChatQuery) -> list[ColumnElement[Any]]:
    """By id. With `client IS NULL`, PostgreSQL uses an index on (client, id) only if the order names both."""
    columns = [ChatLog.id] if query.any_client else [ChatLog.client, ChatLog.id]
    return [column.desc() if query.newest_first else column.asc() for column in columns]


def _text_bytes(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    return len(msgspec.json.encode(value)) if isinstance(value, list | dict) else 0


def _first_id(moment: datetime) -> UUID:
    """The smallest UUIDv7 of that time: its first bits are Unix time in milliseconds."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)
