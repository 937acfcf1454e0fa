"""The engine."""

import pytest

from app.core.config import Settings
from app.db.engine import create_engine

QUERIES = [
    ("", {}),
    ("?ssl=require", {"ssl": "require"}),
    ("?sslmode=require&sslrootcert=ca.crt&channel_binding=require&timeout=9", {"timeout": "9"}),
]


@pytest.mark.parametrize(("query", "kept"), QUERIES)
async def test_a_url_for_libpq_is_understood(query: str, kept: dict[str, str]) -> None:
    engine = create_engine(Settings(_env_file=None, database_url=f"postgres://me:pw@host:5432/db{query}"))
    assert dict(engine.url.query) == kept
    await engine.dispose()
