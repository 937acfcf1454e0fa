"""Sessions for queries. The writer's inserts use connections: one statement for a whole batch needs no unit of work."""

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

SessionFactory = async_sessionmaker[AsyncSession]


def create_session_factory(engine: AsyncEngine) -> SessionFactory:
    """Sessions of this engine. A session takes a connection at its first query and returns it when it is closed."""
    return async_sessionmaker(engine, expire_on_commit=False)
