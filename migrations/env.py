"""Alembic's entry: the service's own settings, engine and tables."""

import asyncio

from alembic import context
from sqlalchemy import Connection

from app.core.config import Settings
from app.core.environment import read_settings
from app.db.engine import create_engine
from app.db.models import Base

_LOCK_TIMEOUT = "2s"
"""A statement that waits for a table keeps all waiting who come after it: it is better given up, and tried again."""

_NO_STATEMENT_TIMEOUT = "SET statement_timeout = 0"
"""The default of a role or database would cancel the index of a long table at each try."""


def _migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
        connection.exec_driver_sql(_NO_STATEMENT_TIMEOUT)
        connection.commit()  # of the session: an index that is built without locks needs transactions of its own
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",  # SQLite cannot alter a column in place
    )
    with context.begin_transaction():
        context.run_migrations()


async def _connect_and_migrate(settings: Settings) -> None:
    if settings.embedded_database:
        settings.embedded_database.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(settings)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate)
            await connection.commit()
    finally:
        await engine.dispose()


if context.is_offline_mode():
    url = read_settings().database_url.get_secret_value()
    context.configure(url=url, target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        if context.get_context().dialect.name == "postgresql":
            context.execute(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
            context.execute(_NO_STATEMENT_TIMEOUT)
        context.run_migrations()
else:
    asyncio.run(_connect_and_migrate(context.config.attributes.get("settings") or read_settings()))
