"""`python -m app prune` deletes old chats."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from app.core.config import Settings
from app.db.engine import database_identity
from tests.commands.client import insert
from tests.commands.conftest import RunInProcess
from tests.db.writers import fill_outbox, outbox_file
from tests.support.database import query
from tests.support.processes import run
from tests.support.records import record
from tests.support.shared import SharedResources

MORE_THAN_A_BATCH = 2_500
WAITING = 450  # more than two pages of the outbox


def insert_aged(database: Settings, *ages: timedelta) -> list[UUID]:
    """Inserts rows of these ages and returns their ids."""
    moments = [datetime.now(UTC) - age for age in ages]
    ids = [UUID(int=(int(at.timestamp() * 1000) << 80) + (7 << 76) + number) for number, at in enumerate(moments)]
    insert(database, *(record(id=id_, created_at=at) for id_, at in zip(ids, moments, strict=True)))
    return ids


def prune(database: Settings, folder: Path, *arguments: str) -> tuple[int, str]:
    return run(["app", "prune", *arguments], cwd=folder, env={"DATABASE_URL": database.database_url.get_secret_value()})


def test_only_older_chats_are_deleted(database: Settings, tmp_path: Path) -> None:
    days = [91, 90.01, 89.99, 1, 0]
    ids = insert_aged(database, *(timedelta(days=each) for each in days))
    code, output = prune(database, tmp_path, "--older-than", "90d")
    assert code == 0, output
    assert "deleted 2 chats from before" in output
    left = query(database.database_url.get_secret_value(), "SELECT id FROM chat_logs ORDER BY id")
    assert [str(row["id"]) for row in left] == sorted(str(each) for each in ids[2:])
    for age in ("90d", "9999w"):
        assert "deleted 0 chats" in prune(database, tmp_path, "--older-than", age)[1]


def test_more_than_one_batch_is_deleted(database: Settings, tmp_path: Path) -> None:
    insert_aged(database, *[timedelta(hours=37)] * MORE_THAN_A_BATCH, timedelta(hours=35))
    _, output = prune(database, tmp_path, "--older-than", "36h")
    assert f"deleted {MORE_THAN_A_BATCH:,} chats" in output
    assert len(query(database.database_url.get_secret_value(), "SELECT id FROM chat_logs")) == 1


@pytest.mark.parametrize("age", ["", "90", "d", "0d", "-1d", "1.5d", "90days", "99999999w", "٣d"])
def test_invalid_age_is_refused(run_in_process: RunInProcess, tmp_path: Path, age: str) -> None:
    code, output = run_in_process("prune", "--older-than", age)
    assert code == 2
    assert "--older-than" in output
    assert not list(tmp_path.iterdir())


def test_missing_database_is_reported(tmp_path: Path) -> None:
    code, output = run(["app", "prune", "--older-than", "90d"], cwd=tmp_path)
    assert (code, output.count("\n")) == (1, 1), output
    assert not list(tmp_path.iterdir())


def test_end_user_s_chats_are_deleted_from_database_and_outbox(database: Settings, tmp_path: Path) -> None:
    url = database.database_url.get_secret_value()
    mine, theirs = ([record(end_user=user, prompt=f"of {user}") for _ in range(3)] for user in ("me\x1b", "you"))
    insert(database, *mine, *theirs, record(end_user=None))
    folder = tmp_path / "data" / "outbox"
    if not database.embedded_database:
        of_mine = [record(end_user="me\x1b", prompt="a-word-of-mine") for _ in range(WAITING)]
        waiting = [each.storable() for each in (*of_mine, theirs[0])]
        fill_outbox(folder, waiting, database=database_identity(database))
        with closing(outbox_file(folder, database="postgresql://old/chats")) as file:
            file.append([record(end_user="me\x1b")], error="refused")
            file.run(lambda rows: rows.execute("INSERT INTO chat_logs VALUES ('x', 'd', 0, x'ff', 0, NULL, 1)"))
    code, output = prune(database, tmp_path, "--end-user", "me\x1b")
    assert code == 0, output
    assert output == f"deleted {3 if database.embedded_database else 3 + WAITING + 1} chats of me\ufffd\n"
    left = query(url, "SELECT end_user FROM chat_logs ORDER BY end_user")
    assert sorted(str(row["end_user"]) for row in left) == ["None", "you", "you", "you"]
    if not database.embedded_database:
        with closing(outbox_file(folder, database=database_identity(database))) as file:
            assert file.run(lambda rows: rows.execute("SELECT count(*) FROM chat_logs").fetchone()) == (2,)
        assert b"a-word-of-mine" not in b"".join(each.read_bytes() for each in folder.iterdir())
    assert "deleted 0 chats" in prune(database, tmp_path, "--end-user", "me\x1b")[1]


def test_deletion_waits_until_no_row_moves_from_the_outbox(shared: SharedResources, tmp_path: Path) -> None:
    database = Settings(_env_file=None, database_url=shared.migrated_database("postgres", tmp_path))
    moving = record(end_user="me")
    with closing(outbox_file(tmp_path / "data" / "outbox", database=database_identity(database))) as file:
        file.append([moving])
        lock = file.replay_lock()
        assert lock
        with ThreadPoolExecutor(1) as threads:
            pruning = threads.submit(prune, database, tmp_path, "--end-user", "me")
            with pytest.raises(TimeoutError):
                pruning.result(timeout=3)
            insert(database, moving)
            file.delete([str(moving.id)])
            lock.close()
            assert pruning.result() == (0, "deleted 1 chats of me\n")


@pytest.mark.parametrize("arguments", [(), ("--end-user", "me", "--older-than", "90d")])
def test_one_selection_is_required(run_in_process: RunInProcess, arguments: tuple[str, ...]) -> None:
    code, output = run_in_process("prune", *arguments)
    assert code == 2
    assert "--end-user" in output
