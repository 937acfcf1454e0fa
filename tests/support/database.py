"""Plain SQL on either database."""

import asyncio
import sqlite3
from typing import Any

import asyncpg

_DRIVER = "postgresql+asyncpg"


def query(url: str, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    """Runs SQL without SQLAlchemy; parameters are named `:name`."""
    if url.startswith("sqlite"):
        return _query_sqlite(url, sql, parameters)
    for number, name in enumerate(parameters, start=1):
        sql = sql.replace(f":{name}", f"${number}")
    return asyncio.run(_query_postgres(url, sql, *parameters.values()))


def execute(url: str, sql: str) -> None:
    """Runs one statement on PostgreSQL outside a transaction."""
    asyncio.run(_query_postgres(url, sql))


def _query_sqlite(url: str, sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    connection = sqlite3.connect(url.partition(":///")[2])
    try:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql, parameters)]
    finally:
        connection.close()


async def _query_postgres(url: str, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(url.replace(_DRIVER, "postgresql"))
    try:
        return [dict(row) for row in await connection.fetch(sql, *parameters)]
    finally:
        await connection.close()
