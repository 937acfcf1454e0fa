"""The SQLite file of an outbox: transactions, and a fresh file in the place of a damaged or empty one.

All workers and commands take turns by the folder's lock, so that the file is replaced while no other process writes
into it. The journal is a rollback journal, because WAL that is shared by processes can corrupt the file before SQLite
3.51.3.
"""

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import structlog

from app.db.outbox_folder import OutboxFolder
from app.db.reservations import Reservations

_NAME, _JOURNAL = "outbox.db", "outbox.db-journal"
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
_USED_BYTES = """
SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_Result = TypeVar("_Result")

log = structlog.get_logger(__name__)


class OutboxDatabase:
    """`attempts` of a row counts failed replays. Each method raises OSError or sqlite3.Error if the disk fails."""

    def __init__(self, path: Path, *, busy_timeout_s: float, reservations: Reservations) -> None:
        self._folder = OutboxFolder(path)
        self._busy_timeout_s = busy_timeout_s
        self._reservations = reservations
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None

    def remove_if_empty(self) -> bool:
        """Removes the file without rows: what was deleted from it would stay readable in its free pages."""
        with self._folder.locked():
            if self._transact(lambda connection: connection.execute("SELECT 1 FROM chat_logs LIMIT 1").fetchone()):
                return False
            self.close()
            for name in (_JOURNAL, _NAME):
                (self._folder.path / name).unlink(missing_ok=True)
            self._folder.sync()
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
                self._rename_damaged(str(exc))
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
        if self._folder.inode(_NAME) != self._inode:  # by something that does not take the lock, such as rm
            raise FileNotFoundError(errno.ENOENT, "the file was removed while it was written", _NAME)
        self._reservations.used_bytes = used_bytes
        return result

    def _connected(self) -> sqlite3.Connection:
        """A process that has replaced the file since the last call has left another inode."""
        inode = self._folder.inode(_NAME)
        if self._connection is not None and inode == self._inode:
            return self._connection
        self.close()
        self._folder.prepare()
        self._folder.inode(_JOURNAL)  # raises if it is a symbolic link
        path = self._folder.path / _NAME
        if inode is None:
            path.with_name(_JOURNAL).unlink(missing_ok=True)  # left behind, it would be rolled back into this file
            os.close(self._folder.open(_NAME, os.O_CREAT | os.O_EXCL | os.O_RDWR))
            self._folder.sync()
            inode = self._folder.inode(_NAME)
        self._inode = inode
        self._connection = sqlite3.connect(path, timeout=self._busy_timeout_s, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=TRUNCATE")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.executescript(_SCHEMA)
        return self._connection

    def _rename_damaged(self, cause: str) -> None:
        """The journal first: left behind, it would be rolled back into the fresh file."""
        path = self._folder.path / f"damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}.db"
        with suppress(FileNotFoundError):
            path.with_name(_JOURNAL).rename(path.with_name(f"{path.name}-journal"))
        path.with_name(_NAME).rename(path)
        self._folder.sync()
        log.error("outbox.damaged", error=cause, moved_to=str(path))
