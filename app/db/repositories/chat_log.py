"""Queries on `chat_logs`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Insert, Row, delete, desc, false, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.record import FACTS, NO_MESSAGES, ChatRecord
from app.db.errors import commit_error
from app.db.models import ChatLog
from app.db.session import create_session_factory

_COLUMNS = tuple(column.key for column in ChatLog.__table__.columns)
_FACTS = tuple(column for column in ChatLog.__table__.columns if column.key in FACTS)


class ChatLogRepository:
    """Each call takes a connection from the pool and returns it: none is held while a stream runs."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._sessions = create_session_factory(engine)
        dialect = postgresql if engine.dialect.name == "postgresql" else sqlite
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

    async def _execute(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Executes the insert, once more if the pooled connection was closed: a ping before each insert is slower."""
        for may_repeat in (True, False):
            try:
                async with self._writing.begin() as connection:
                    await connection.execute(self._insert, rows)
            except DBAPIError as exc:
                if not (may_repeat and exc.connection_invalidated):
                    raise
            else:
                return

    async def recent(self, limit: int) -> Sequence[Row[Any]]:
        """Returns the last rows, newest first."""
        async with self._sessions() as session:
            result = await session.execute(select(*ChatLog.__table__.columns).order_by(desc(ChatLog.id)).limit(limit))
            return result.all()

    async def facts(self, chat_id: UUID) -> Mapping[str, Any] | None:
        """Returns the columns of a chat that hold no content; None if there is no such row."""
        async with self._sessions() as session:
            result = await session.execute(select(*_FACTS).where(ChatLog.id == chat_id))
            row = result.mappings().one_or_none()
            return None if row is None else dict(row)

    async def delete_older(self, moment: datetime, *, limit: int) -> int:
        """Deletes up to `limit` rows of chats before `moment`; returns their number."""
        older = select(ChatLog.id).where(ChatLog.id < _first_id(moment)).order_by(ChatLog.id).limit(limit)
        async with self._sessions.begin() as session:
            result = await session.execute(delete(ChatLog).where(ChatLog.id.in_(older)).returning(ChatLog.id))
            return len(result.all())

    async def ping(self) -> None:
        """Inserts no rows. Raises the driver's exception if the database is down, read-only, or lacks the table."""
        none = select(*ChatLog.__table__.columns).where(false())
        async with self._engine.begin() as connection:
            await connection.execute(insert(ChatLog).from_select(_COLUMNS, none))


def _row(record: ChatRecord) -> dict[str, Any]:
    row = {name: getattr(record, name) for name in _COLUMNS}
    if record.messages == NO_MESSAGES:
        row["messages"] = None
    return row


def _first_id(moment: datetime) -> UUID:
    """The smallest UUIDv7 of that time: its first bits are Unix time in milliseconds."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)
