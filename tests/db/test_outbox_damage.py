"""A damaged outbox file is renamed with its journal, and reported."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.db.writers import fill_outbox, outbox_file, prompts_in
from tests.support.records import record


def test_the_journal_is_moved_aside_with_its_file(tmp_path: Path) -> None:
    journal = b"\0of a transaction that has ended"
    fill_outbox(tmp_path, [record(prompt="lost")])
    (tmp_path / "outbox.db").write_bytes(b"this is no database" * 1000)
    (tmp_path / "outbox.db-journal").write_bytes(journal)
    with capture_logs() as lines:
        fill_outbox(tmp_path, [record(prompt="first")])
    (aside,) = tmp_path.glob("damaged-*.db")
    assert aside.read_bytes().startswith(b"this is no database")
    assert aside.with_name(f"{aside.name}-journal").read_bytes() == journal
    assert [(line["event"], line["log_level"], line["moved_to"]) for line in lines] == [
        ("outbox.damaged", "error", str(aside))
    ]
    assert "not a database" in lines[0]["error"]
    assert prompts_in(tmp_path) == ["first"]


def test_other_errors_of_sqlite_leave_the_file_where_it_is(tmp_path: Path) -> None:
    fill_outbox(tmp_path, [record(prompt="kept")])
    with closing(outbox_file(tmp_path)) as file:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            file.run(lambda rows: rows.execute("SELECT * FROM missing"))
        assert file.status().damaged_files == 0
    assert prompts_in(tmp_path) == ["kept"]


def test_a_failed_transaction_changes_nothing(tmp_path: Path) -> None:
    fill_outbox(tmp_path, [record(prompt="kept")])

    def fail(rows: sqlite3.Connection) -> None:
        rows.execute("DELETE FROM chat_logs")
        raise RuntimeError("a bug")

    with closing(outbox_file(tmp_path)) as file:
        with pytest.raises(RuntimeError, match="a bug"):
            file.run(fail)
        assert len(file.next_rows(max_rows=9, max_bytes=9)) == 1


def test_a_file_that_was_removed_while_it_was_written_is_an_error(tmp_path: Path) -> None:
    """The rows are in a file without a name."""

    def remove(_: sqlite3.Connection) -> None:
        (tmp_path / "outbox.db").unlink()

    with closing(outbox_file(tmp_path)) as file:
        file.append([record()])
        with pytest.raises(FileNotFoundError, match="removed while it was written"):
            file.run(remove)
        file.append([record(prompt="next")])
    assert prompts_in(tmp_path) == ["next"]


def test_why_a_row_waits_or_was_rejected_is_stored(tmp_path: Path) -> None:
    postponed, refused, at_once = record(), record(), record()
    with closing(outbox_file(tmp_path)) as file:
        file.append([postponed, refused])
        file.append([at_once], error="no space")
        file.postpone(str(postponed.id), "too slow")
        file.postpone(str(postponed.id), "too slow again")
        file.reject(str(refused.id), "a constraint")
        rows = file.run(
            lambda each: each.execute(
                "SELECT id, attempts, last_error, rejected_at > 1.7e9 FROM chat_logs ORDER BY rowid"
            ).fetchall()
        )
    assert rows == [
        (str(postponed.id), 2, "too slow again", None),
        (str(refused.id), 0, "a constraint", 1),
        (str(at_once.id), 0, "no space", 1),
    ]
