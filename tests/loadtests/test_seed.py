"""A database is filled with chats that the service's own commands show, and never one of production."""

from pathlib import Path

from tests.support.database import query
from tests.support.processes import run


def test_a_database_is_filled_with_chats_that_can_be_read(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/chats.db"
    code, output = run(["loadtests.seed", "--rows", "1200"], cwd=tmp_path, env={"DATABASE_URL": url})
    assert code == 0, output
    [counts] = query(url, "SELECT count(*) AS rows, count(DISTINCT model_name) AS models FROM chat_logs")
    assert counts == {"rows": 1200, "models": 3}
    code, output = run(["app", "chats"], cwd=tmp_path, env={"DATABASE_URL": url})
    assert code == 0, output
    assert "completed" in output


def test_a_database_of_production_is_left_alone(tmp_path: Path) -> None:
    code, output = run(["loadtests.seed"], cwd=tmp_path, env={"APP_ENV": "production"})
    assert code == 1
    assert "APP_ENV is production" in output
