"""The database engine of the process."""

from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlencode

import msgspec
from sqlalchemy import URL, QueuePool, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.core.config import Settings

_POOL_SIZE = 3  # the writer, the outbox replayer, and a health check


def create_engine(settings: Settings, *, pool_size: int = _POOL_SIZE) -> AsyncEngine:
    """Creates an engine for `DATABASE_URL`; it connects when it is first used."""
    url, tls = _for_asyncpg(make_url(settings.database_url.get_secret_value()))
    file = settings.embedded_database
    # A commit that takes too long is cancelled. SQLite's thread continues, and could acquire a lock that is never
    # released: its wait for the lock has to end before.
    timeout_s = settings.database_connect_timeout_s if file is None else settings.commit_limit_s / 2
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        json_serializer=lambda value: msgspec.json.encode(value).decode(),
        json_deserializer=msgspec.json.decode,
        connect_args={"timeout": timeout_s, **tls},
        hide_parameters=True,  # prompts and answers stay out of error messages
    )
    if file is not None:
        event.listen(engine.sync_engine, "connect", _make_durable)
        event.listen(engine.sync_engine, "connect", _stop_once)
    return engine


def pool_gauges(engine: AsyncEngine) -> dict[str, Callable[[], float]]:
    """Functions that return the number of connections in use, of idle ones, and the most that may be open."""
    pool = engine.pool
    assert isinstance(pool, QueuePool)  # noqa: S101 - what create_engine made # nosec B101
    return {"in_use": pool.checkedout, "idle": pool.checkedin, "size": pool.size}


def database_identity(settings: Settings) -> str:
    """Which database rows in an outbox are for: its hosts, port and name. Users and passwords may be rotated."""
    url = make_url(settings.database_url.get_secret_value())
    hosts = {name: url.query[name] for name in ("host", "port") if name in url.query}
    host = (url.host or "").lower()
    return str(URL.create("postgresql", host=host, port=url.port or 5432, database=url.database, query=hosts))


def _for_asyncpg(url: URL) -> tuple[URL, dict[str, str]]:
    """Converts a URL for libpq, as managed databases give it, to one for asyncpg and arguments of its `connect`.

    asyncpg reads `sslmode`, `sslrootcert` and the like from a DSN only. It has no `channel_binding`.
    """
    tls = {name: value for name, value in url.query.items() if name.startswith("ssl") and name != "ssl"}
    url = url.difference_update_query([*tls, "channel_binding"])
    return url, {"dsn": f"postgresql://?{urlencode(tls)}"} if tls else {}


def _make_durable(connection: Any, _record: Any) -> None:
    """WAL: readers do not wait for the writer. FULL: a commit is on the disk when it returns.

    Before SQLite 3.51.3, WAL can corrupt a file that two processes write at the same moment: the outbox has none. Here
    only `prune` writes beside the service. This rare case is accepted, as SQLite is for development (checks.py).
    """
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _stop_once(connection: Any, _record: Any) -> None:
    """Makes aiosqlite's `stop` return the same future at every call: its thread ends with the first one.

    When a read or a commit is cancelled, SQLAlchemy stops the connection while its `close` is about to stop it too, and
    would wait forever for a second answer; so would the process, at its end.
    """
    driver = connection.driver_connection
    driver.stop = cache(driver.stop)
