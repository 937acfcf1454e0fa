"""The outbox of a machine: a SQLite file of rows that wait for the database, or that it rejected.

All workers and commands take turns by the folder's lock, so that the file is replaced while no other process writes
into it. The journal is a rollback journal, because WAL that is shared by processes can corrupt the file before SQLite
3.51.3.
"""

import errno
import sqlite3
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import msgspec
import structlog

from app.core.record import ChatRecord
from app.db.outbox_folder import OutboxFolder
from app.db.reservations import Reservations

_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS chat_logs (
    id TEXT PRIMARY KEY, database TEXT NOT NULL, created_at REAL NOT NULL, payload BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, last_error TEXT, rejected_at REAL
);
CREATE INDEX IF NOT EXISTS waiting ON chat_logs (database, attempts, created_at) WHERE rejected_at IS NULL;
CREATE INDEX IF NOT EXISTS rejected ON chat_logs (rejected_at) WHERE rejected_at IS NOT NULL;
COMMIT;
"""
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
_USED_BYTES = """
SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_Result = TypeVar("_Result")

log = structlog.get_logger(__name__)


class OutboxStatus(NamedTuple):
    """What the file has. `free_bytes`: what it may grow by on its disk, reused pages included."""

    rows: int = 0
    oldest: float | None = None
    rejected_rows: int = 0
    free_bytes: int = 0
    damaged_files: int = 0


class OutboxFile:
    """Rows are for one `database`; those for others in the same file are left alone. Not thread-safe.

    `attempts` of a row counts failed replays. Methods block, and raise OSError or sqlite3.Error if the disk fails.
    """

    def __init__(
        self, path: Path, *, database: str, busy_timeout_s: float = 5, reservations: Reservations | None = None
    ) -> None:
        self._folder = OutboxFolder(path)
        self._database = database
        self._busy_timeout_s = busy_timeout_s
        self._reservations = reservations or Reservations()
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None

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
        return OutboxStatus(rows, oldest, rejected, reusable + self._folder.free_bytes(), self._folder.damaged_files())

    def check(self) -> None:
        """Commits a change of nothing and writes a fresh ballast, to see whether the disk takes both."""
        self.run(lambda connection: connection.execute("PRAGMA user_version = 1"))
        self._folder.renew_ballast()

    def replay_lock(self) -> BinaryIO | None:
        """The lock of the process that moves rows to this database, until it is closed; None if another has it."""
        return self._folder.try_lock(f"replay-{sha256(self._database.encode()).hexdigest()[:12]}")

    def remove_if_empty(self) -> bool:
        """Removes the file without rows: what was deleted from it would stay readable in its free pages."""
        with self._folder.locked():
            if self._transact(lambda connection: connection.execute("SELECT 1 FROM chat_logs LIMIT 1").fetchone()):
                return False
            self.close()
            self._folder.remove_file()
            self._reservations.used_bytes = 0
            return True

    def close(self) -> None:
        """Rolls back what was not committed."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def run(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Runs `work` in a transaction. Renames a corrupt file and continues with a new one."""
        with self._folder.locked():
            try:
                return self._transact(work)
            except sqlite3.DatabaseError as exc:
                if getattr(exc, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
                    raise
                moved_to = self._folder.rename_damaged()
                log.error("outbox.damaged", error=str(exc), moved_to=str(moved_to))
                return self._transact(work)

    def _transact(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        try:
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            (used_bytes,) = connection.execute(_USED_BYTES).fetchone()
            connection.execute("COMMIT")
        except BaseException:
            self.close()
            raise
        if self._folder.inode() != self._inode:  # by something that does not take the lock, such as rm
            raise FileNotFoundError(errno.ENOENT, "the file was removed while it was written", self._folder.file.name)
        self._reservations.used_bytes = used_bytes
        return result

    def _connected(self) -> sqlite3.Connection:
        """A process that has replaced the file since the last call has left another inode."""
        if self._connection is not None and self._folder.inode() == self._inode:
            return self._connection
        self.close()
        self._inode = self._folder.create_file()
        self._connection = sqlite3.connect(self._folder.file, timeout=self._busy_timeout_s, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=TRUNCATE")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.executescript(_SCHEMA)
        return self._connection
