"""The outbox's SQLite file with several processes: kills, damage, replacement."""

import fcntl
from contextlib import closing
from pathlib import Path

import pytest

from app.db.replay import decode
from app.db.reservations import Reservations
from tests.db.writers import child, fill_outbox, outbox_file, outbox_rows, prompts_in, records
from tests.support.waiting import wait_until

WRITES = """
file = outbox_file(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    row = record(prompt="x" * 20_000)
    file.append([row])
    print(row.id, flush=True)
"""


def test_one_process_holds_the_replay_lock_until_it_dies(tmp_path: Path) -> None:
    code = "lock = outbox_file(Path(sys.argv[1])).replay_lock(); print(lock is not None, flush=True); sys.stdin.read()"
    holder = child(code, tmp_path)
    try:
        assert holder.stdout
        assert holder.stdout.readline() == "True\n"
        assert outbox_file(tmp_path).replay_lock() is None
    finally:
        holder.kill()
        holder.communicate()
    with outbox_file(tmp_path).replay_lock() or pytest.fail("nobody has it"):
        assert outbox_file(tmp_path).replay_lock() is None


def test_rows_of_a_killed_process_are_stored_and_the_file_is_intact(tmp_path: Path) -> None:
    """Killed in the middle of a write, again and again."""
    acknowledged: list[str] = []
    for round_ in range(5):
        writer = child(WRITES, tmp_path, 10**6)
        assert writer.stdout
        lines = [writer.stdout.readline() for _ in range(3 + 2 * round_)]
        writer.kill()
        rest, _ = writer.communicate()
        assert all(lines), "the writer has ended by itself"
        acknowledged += [line.strip() for line in [*lines, *rest.splitlines(keepends=True)] if line.endswith("\n")]
    ids = [row["id"] for row in outbox_rows(tmp_path)]
    assert len(ids) == len(set(ids))
    assert set(acknowledged) <= set(ids)
    assert len(ids) <= len(acknowledged) + 5
    with closing(outbox_file(tmp_path)) as file:
        assert file.run(lambda rows: rows.execute("PRAGMA integrity_check").fetchall()) == [("ok",)]


def test_concurrent_writers_lose_no_row(tmp_path: Path) -> None:
    writers = [child(WRITES, tmp_path, 40) for _ in range(4)]
    acknowledged = [line for writer in writers for line in writer.communicate(timeout=60)[0].split()]
    assert len(acknowledged) == 160
    assert sorted(acknowledged) == sorted(row["id"] for row in outbox_rows(tmp_path))


@pytest.mark.parametrize("damage", [b"this is no database", bytes(100)])
def test_damaged_file_is_renamed_and_no_process_writes_into_it_afterwards(tmp_path: Path, damage: bytes) -> None:
    with closing(outbox_file(tmp_path)) as one, closing(outbox_file(tmp_path)) as two:
        one.append(records("lost"))
        two.append(records("lost too"))
        with (tmp_path / "outbox.db").open("r+b") as file:  # as a disk would do it: the inode stays
            file.write(damage)
        one.append(records("first"))
        two.append(records("second"))
        (aside,) = tmp_path.glob("damaged-*.db")
        assert aside.read_bytes().startswith(damage)
        assert one.status().damaged_files == two.status().damaged_files == 1
    assert prompts_in(tmp_path) == ["first", "second"]


def test_running_writers_change_to_the_fresh_file_after_damage(tmp_path: Path) -> None:
    """Of each process, all rows from one on are in the fresh file."""
    writers = [child(WRITES, tmp_path, 10**6) for _ in range(3)]
    read = [[writer.stdout.readline() for _ in range(5)] for writer in writers if writer.stdout]
    with (tmp_path / "outbox.lock").open("rb") as lock, (tmp_path / "outbox.db").open("r+b") as file:
        fcntl.flock(lock, fcntl.LOCK_EX)  # between two transactions
        file.write(bytes(4096))
    wait_until(lambda: len(outbox_rows(tmp_path)) > 100, "nothing is written any longer")
    for writer in writers:
        writer.kill()
    rest = [writer.communicate(timeout=60)[0].splitlines() for writer in writers]
    fresh = {row["id"] for row in outbox_rows(tmp_path)}
    assert len(list(tmp_path.glob("damaged-*.db"))) == 1
    for before, after in zip(read, rest, strict=True):
        acknowledged = [line.strip() for line in before] + [line for line in after if len(line) == 36]  # no log lines
        first = next(number for number, row_id in enumerate(acknowledged) if row_id in fresh)
        assert first >= 5
        assert set(acknowledged[first:]) <= fresh


def test_journal_of_a_removed_file_is_not_rolled_back_into_the_fresh_one(tmp_path: Path) -> None:
    fill_outbox(tmp_path, records("gone"))
    code = (
        "import sqlite3; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('PRAGMA cache_size=1')\n"
        "c.execute('BEGIN'); c.execute('UPDATE chat_logs SET payload = zeroblob(9000000)'); print(1, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    child(code, tmp_path / "outbox.db").communicate()
    assert (tmp_path / "outbox.db-journal").stat().st_size > 0
    (tmp_path / "outbox.db").unlink()
    fill_outbox(tmp_path, records("fresh"))
    assert prompts_in(tmp_path) == ["fresh"]


def test_empty_file_is_removed_and_other_processes_use_the_next_one(tmp_path: Path) -> None:
    reservations = Reservations()
    with closing(outbox_file(tmp_path, reservations=reservations)) as one, closing(outbox_file(tmp_path)) as two:
        written = records("secret of somebody")
        two.append(written)
        assert not one.remove_if_empty()
        one.delete([str(written[0].id)])
        assert reservations.used_bytes > 0
        assert one.remove_if_empty()
        assert reservations.used_bytes == 0
        assert not any(b"secret" in path.read_bytes() for path in tmp_path.iterdir())
        two.append(records("next"))
        assert [decode(payload).prompt for _, payload in one.next_rows(max_rows=9, max_bytes=9)] == ["next"]
