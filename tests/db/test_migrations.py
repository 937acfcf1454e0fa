"""The migrations, on both databases."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from app.core.config import Settings
from tests.support.database import query
from tests.support.processes import PROJECT, run


def config(url: str) -> Config:
    alembic = Config(PROJECT / "alembic.ini")
    alembic.attributes["settings"] = Settings(_env_file=None, database_url=url)
    return alembic


def test_up_is_what_the_models_say_and_down_is_nothing(empty_database: str) -> None:
    command.upgrade(config(empty_database), "head")
    command.check(config(empty_database))
    assert query(empty_database, "SELECT * FROM chat_logs") == []
    command.downgrade(config(empty_database), "base")
    command.upgrade(config(empty_database), "head")
    assert query(empty_database, "SELECT * FROM chat_logs") == []


def test_migrating_twice_is_migrating_once(empty_database: str, tmp_path: Path) -> None:
    for _ in range(2):
        code, output = run(["app", "migrate"], cwd=tmp_path, env={"DATABASE_URL": empty_database})
        assert code == 0, output
        assert output.endswith("is up to date\n")


def test_alembic_s_own_command_works_too(empty_database: str, tmp_path: Path) -> None:
    arguments = ["alembic", "-c", str(PROJECT / "alembic.ini"), "upgrade", "head"]
    code, output = run(arguments, cwd=tmp_path, env={"DATABASE_URL": empty_database})
    assert code == 0, output
    assert query(empty_database, "SELECT * FROM chat_logs") == []
