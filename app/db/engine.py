"""The one engine of a process."""

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import URL, QueuePool, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.core.config import Settings

_POOL_SIZE = 3  # the writer, the outbox replayer, and a health check


def create_engine(settings: Settings) -> AsyncEngine:
    """An engine for `DATABASE_URL`; it connects when it is first used."""
    url = _for_asyncpg(make_url(settings.database_url.get_secret_value()))
    file = settings.embedded_database
    # A commit is given up by cancelling it. SQLite's thread goes on all the same, and would take a lock that nobody
    # gives back: there, the wait for the lock has to end first.
    timeout_s = settings.database_connect_timeout_s if file is None else settings.commit_timeout_s / 2
    engine = create_async_engine(
        url,
        pool_size=_POOL_SIZE,
        max_overflow=0,
        json_serializer=lambda value: msgspec.json.encode(value).decode(),
        json_deserializer=msgspec.json.decode,
        connect_args={"timeout": timeout_s},
        hide_parameters=True,  # prompts and answers stay out of error messages
    )
    if file is not None:
        event.listen(engine.sync_engine, "connect", _make_durable)
    return engine


def pool_gauges(engine: AsyncEngine) -> dict[str, Callable[[], float]]:
    """How many connections are in use, and how many are open and idle; asked for at any time."""
    pool = engine.pool
    assert isinstance(pool, QueuePool)  # noqa: S101 - what create_engine made # nosec B101
    return {"in_use": pool.checkedout, "idle": pool.checkedin}


def database_identity(settings: Settings) -> str:
    """Which database rows in an outbox are for: its hosts, port and name. Users and passwords may be rotated."""
    url = make_url(settings.database_url.get_secret_value())
    hosts = {name: url.query[name] for name in ("host", "port") if name in url.query}
    host = (url.host or "").lower()
    return str(URL.create("postgresql", host=host, port=url.port or 5432, database=url.database, query=hosts))


def _for_asyncpg(url: URL) -> URL:
    """Managed databases hand out URLs for libpq; asyncpg calls `sslmode` `ssl`, and needs no `channel_binding`."""
    if sslmode := url.query.get("sslmode"):
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": sslmode})
    return url.difference_update_query(["channel_binding"])


def _make_durable(connection: Any, _record: Any) -> None:
    """Readers do not wait for the writer (WAL), and a commit has reached the disk when it returns (FULL)."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
