"""`python -m app prune`: deletes old chats, or those of an end user, while the service runs."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from app.commands.outbox import pages
from app.commands.output import fail, first_line, show
from app.core.config import Settings
from app.core.text import printable, storable
from app.db.engine import create_engine, database_identity
from app.db.outbox_file import OutboxFile
from app.db.repositories.chat_log import ChatLogRepository

_BATCH_ROWS = 2_000
"""Rows of one transaction, which takes some hundredths of a second: commits of the service wait no longer."""
_LOCK_POLL_S = 0.2
_END_USERS = """
SELECT id, CASE WHEN json_valid(CAST(payload AS TEXT)) THEN json_extract(CAST(payload AS TEXT), '$.end_user') END
FROM chat_logs WHERE id > ? ORDER BY id LIMIT 200
"""


def prune(settings: Settings, *, older_than: timedelta | None, end_user: str | None) -> int:
    """Deletes in batches, with a pause after each as long as it took. It can be stopped and run again."""
    try:
        if end_user is not None:
            deleted, which = _delete_of(settings, end_user), f"of {printable(end_user)}"
        else:
            assert older_than is not None, "one of the two is required"  # noqa: S101 # nosec B101
            moment = datetime.now(UTC) - older_than
            deleted = asyncio.run(_delete(settings, lambda rows: rows.delete_older(moment, limit=_BATCH_ROWS)))
            which = f"from before {moment:%Y-%m-%d %H:%M} UTC"
    except (OSError, SQLAlchemyError, sqlite3.Error) as exc:
        return fail(f"cannot delete chats from {settings.database_name}: {first_line(exc)}")
    show(f"deleted {deleted:,} chats {which}")
    return 0


def _delete_of(settings: Settings, end_user: str) -> int:
    """Deletes from the outbox first: meanwhile no row moves from there to the database."""
    end_user = storable(end_user)

    def from_database() -> int:
        return asyncio.run(_delete(settings, lambda rows: rows.delete_of(end_user, limit=_BATCH_ROWS)))

    if settings.embedded_database is not None or not settings.outbox_dir.is_dir():
        return from_database()
    file = OutboxFile(settings.outbox_dir, database=database_identity(settings))
    try:
        while (lock := file.replay_lock()) is None:
            time.sleep(_LOCK_POLL_S)
        with lock:
            return _erase_from_outbox(file, end_user) + from_database()
    finally:
        file.close()


def _erase_from_outbox(file: OutboxFile, end_user: str) -> int:
    """Deletes the rows for any database, a page at a time, and overwrites them."""

    def erase(rows: sqlite3.Connection, ids: Sequence[tuple[str]]) -> None:
        rows.execute("PRAGMA secure_delete=ON")
        rows.executemany("DELETE FROM chat_logs WHERE id = ?", ids)

    deleted = 0
    for page in pages(file, _END_USERS):
        ids = [(row_id,) for row_id, owner in page if owner == end_user]
        file.run(partial(erase, ids=ids))
        deleted += len(ids)
    return deleted


async def _delete(settings: Settings, delete_batch: Callable[[ChatLogRepository], Awaitable[int]]) -> int:
    if settings.embedded_database and not settings.embedded_database.exists():
        raise FileNotFoundError("there is no such file")
    engine, deleted = create_engine(settings), 0
    try:
        rows = ChatLogRepository(engine)
        while True:
            began = time.monotonic()
            count = await delete_batch(rows)
            deleted += count
            if count < _BATCH_ROWS:
                return deleted
            await asyncio.sleep(time.monotonic() - began)
    finally:
        await engine.dispose()
