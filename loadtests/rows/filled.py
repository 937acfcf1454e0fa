"""A shape with its rows, and ways to ask it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.config import Settings
from app.db.engine import create_engine
from loadtests.rows.shapes import Shape
from tests.support.database import query

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Filled:
    """A database; its rows are from between `first` and `last`."""

    shape: Shape
    url: str
    first: datetime
    last: datetime

    def number(self, sql: str) -> float:
        """What a query answers with one number."""
        ((value,),) = (tuple(row.values()) for row in query(self.url, sql))
        return float(value)

    def size_mb(self, what: str) -> float:
        """`table` or `indexes`, of all partitions together."""
        return self.number(
            f"SELECT sum(pg_{what}_size(oid)) / 1e6 FROM pg_class WHERE relname LIKE 'chat_logs%' AND relkind = 'r'"
        )

    def wal_bytes(self) -> float:
        return self.number("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")

    def run(self, work: Callable[[AsyncEngine], Awaitable[_Result]]) -> _Result:
        """Work that needs the service's own engine."""

        async def with_engine() -> _Result:
            engine = create_engine(Settings(_env_file=None, database_url=self.url))
            try:
                return await work(engine)
            finally:
                await engine.dispose()

        return asyncio.run(with_engine())

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(self.url.replace("+asyncpg", ""))
        try:
            yield connection
        finally:
            await connection.close()
