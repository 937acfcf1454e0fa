"""The outbox of a machine: rows that wait for the database, or that it rejected. Every call blocks on the disk."""

import sqlite3
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from app.core.record import ChatRecord
from app.db.outbox_database import OutboxDatabase
from app.db.reservations import Reservations

_INSERT = """
INSERT OR IGNORE INTO chat_logs (id, database, created_at, payload, last_error, rejected_at) VALUES (?, ?, ?, ?, ?, ?)
"""
_WAITING = """
SELECT id, payload FROM chat_logs WHERE database = ? AND rejected_at IS NULL ORDER BY attempts, created_at LIMIT ?
"""
_STATUS = """
SELECT count(*), min(created_at), (SELECT count(*) FROM chat_logs WHERE rejected_at IS NOT NULL),
    (SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size)
FROM chat_logs WHERE rejected_at IS NULL
"""


class OutboxStatus(NamedTuple):
    """What the file has. `free_bytes`: what it may grow by on its disk, reused pages included."""

    rows: int = 0
    oldest: float | None = None
    rejected_rows: int = 0
    free_bytes: int = 0
    damaged_files: int = 0


class OutboxFile(OutboxDatabase):
    """Rows are for one `database`; those for others in the same file are left alone. Not thread-safe.

    Each method raises OSError or sqlite3.Error if the disk fails.
    """

    def __init__(
        self, path: Path, *, database: str, busy_timeout_s: float = 5, reservations: Reservations | None = None
    ) -> None:
        super().__init__(path, busy_timeout_s=busy_timeout_s, reservations=reservations or Reservations())
        self._database = database

    def append(self, records: Sequence[ChatRecord], *, error: str | None = None) -> None:
        """Returns when the rows are on the disk; with `error`, they are marked as rejected. Known ids are ignored."""
        rejected_at = None if error is None else time.time()
        rows = [
            (str(each.id), self._database, each.created_at.timestamp(), msgspec.json.encode(each), error, rejected_at)
            for each in records
        ]
        self.run(lambda connection: connection.executemany(_INSERT, rows))

    def next_rows(self, *, max_rows: int, max_bytes: int) -> list[tuple[str, bytes]]:
        """Ids and payloads of rows that wait, one at least if there is any: failed ones last, else oldest first."""

        def read(connection: sqlite3.Connection) -> list[tuple[str, bytes]]:
            rows: list[tuple[str, bytes]] = []
            size = 0
            for row in connection.execute(_WAITING, (self._database, max_rows)):
                size += len(row[1])
                if rows and size > max_bytes:
                    break
                rows.append(row)
            return rows

        return self.run(read)

    def delete(self, ids: Sequence[str]) -> None:
        """Removes rows that are in the database."""
        self._update("DELETE FROM chat_logs WHERE id = ?", [(each,) for each in ids])

    def postpone(self, row_id: str, error: str) -> None:
        """Puts a row behind the others."""
        self._update("UPDATE chat_logs SET attempts = attempts + 1, last_error = ? WHERE id = ?", [(error, row_id)])

    def reject(self, row_id: str, error: str) -> None:
        """Marks a row that waits as rejected."""
        parameters = (time.time(), error, row_id)
        self._update("UPDATE chat_logs SET rejected_at = ?, last_error = ? WHERE id = ?", [parameters])

    def _update(self, statement: str, parameters: Sequence[tuple[object, ...]]) -> None:
        """Updates rows. On a full disk it deletes the ballast, a reserve file, and tries again."""
        try:
            self.run(lambda connection: connection.executemany(statement, parameters))
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_FULL or not self._folder.drop_ballast():
                raise
            self.run(lambda connection: connection.executemany(statement, parameters))

    def status(self) -> OutboxStatus:
        """What waits, and what space there is."""
        rows, oldest, rejected, reusable = self.run(lambda connection: connection.execute(_STATUS).fetchone())
        damaged = len(list(self._folder.path.glob("damaged-*.db")))
        return OutboxStatus(rows, oldest, rejected, reusable + self._folder.free_bytes(), damaged)

    def check(self) -> None:
        """Commits a change of nothing and writes a fresh ballast, to see whether the disk takes both."""
        self.run(lambda connection: connection.execute("PRAGMA user_version = 1"))
        self._folder.renew_ballast()

    def replay_lock(self) -> BinaryIO | None:
        """The lock of the process that moves rows to this database, until it is closed; None if another has it."""
        return self._folder.try_lock(f"replay-{sha256(self._database.encode()).hexdigest()[:12]}")
