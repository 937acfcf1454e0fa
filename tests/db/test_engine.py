"""The engine."""

import pytest

from app.core.config import Settings
from app.db.engine import create_engine

QUERIES = [
    ("", {}),
    ("?ssl=require", {"ssl": "require"}),
    ("?sslmode=require&sslrootcert=ca.crt&channel_binding=require&timeout=9", {"timeout": "9"}),
]


@pytest.mark.parametrize(("query", "options"), QUERIES)
async def test_url_for_libpq_is_converted_for_asyncpg(query: str, options: dict[str, str]) -> None:
    engine = create_engine(Settings(_env_file=None, database_url=f"postgres://me:pw@host:5432/db{query}"))
    assert dict(engine.url.query) == options
    await engine.dispose()
