"""`python -m app prune`: deletes old chats, while the service runs."""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from app.core.config import Settings
from app.core.printable import printable
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository

_BATCH_ROWS = 2_000
"""Rows of one transaction, which takes some hundredths of a second: commits of the service wait no longer."""


def prune(settings: Settings, older_than: timedelta) -> int:
    """Delete in batches, with a pause after each as long as it took. It can be stopped and run again."""
    moment = datetime.now(UTC) - older_than
    try:
        deleted = asyncio.run(delete_before(settings, moment))
    except (OSError, SQLAlchemyError) as exc:
        cause = printable(str(getattr(exc, "orig", None) or exc).partition("\n")[0])
        sys.stderr.write(f"cannot delete chats from {settings.database_name}: {cause}\n")
        return 1
    print(f"deleted {deleted:,} chats from before {moment:%Y-%m-%d %H:%M} UTC")
    return 0


async def delete_before(settings: Settings, moment: datetime) -> int:
    """Return the number of rows. Raises what the driver raises."""
    if settings.embedded_database and not settings.embedded_database.exists():
        raise FileNotFoundError("there is no such file")
    engine, deleted = create_engine(settings), 0
    try:
        rows = ChatLogRepository(engine)
        while True:
            began = time.monotonic()
            count = await rows.delete_older(moment, limit=_BATCH_ROWS)
            deleted += count
            if count < _BATCH_ROWS:
                return deleted
            await asyncio.sleep(time.monotonic() - began)
    finally:
        await engine.dispose()
