"""The outbox's SQLite file, one per machine: rows that wait for the database, and rows that it refused.

Every call blocks on the disk. All workers and commands take turns by a lock on `outbox.lock`: a file that is damaged or
empty is replaced while no other process writes into it. The journal is a rollback journal, because WAL shared by
processes can corrupt the file before SQLite 3.51.3.
"""

import errno
import fcntl
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import msgspec
import structlog

from app.core.record import ChatRecord
from app.db.private_folder import make_private, sync
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
_INSERT = (
    "INSERT OR IGNORE INTO chat_logs (id, database, created_at, payload, last_error, rejected_at) VALUES (?,?,?,?,?,?)"
)
_USAGE = """
SELECT count(*), min(created_at), (SELECT count(*) FROM chat_logs WHERE rejected_at IS NOT NULL)
FROM chat_logs WHERE rejected_at IS NULL
"""
_WAITING = """
SELECT id, payload FROM chat_logs WHERE database = ? AND rejected_at IS NULL ORDER BY attempts, created_at LIMIT ?
"""
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BALLAST_BYTES = 2 * 2**20
"""What deleting a batch of rows may need for its journal."""
_PRIVATE = 0o600

_Result = TypeVar("_Result")

log = structlog.get_logger(__name__)


class Usage(NamedTuple):
    """What the file has. `free_bytes`: what it may grow by on its disk, reused pages included."""

    rows: int
    oldest: float | None
    rejected_rows: int
    free_bytes: int
    damaged_files: int


class OutboxFile:
    """Rows are for one `database`; those for others in the same file are left alone. Not thread-safe.

    Each method raises OSError or sqlite3.Error if the disk refuses.
    """

    def __init__(
        self, folder: Path, *, database: str, busy_timeout_s: float = 5, reservations: Reservations | None = None
    ) -> None:
        self._folder = folder
        self._path = folder / "outbox.db"
        self._journal = folder / "outbox.db-journal"
        self._ballast = folder / "outbox.ballast"
        self._database = database
        self._busy_timeout_s = busy_timeout_s
        self._reservations = reservations or Reservations()
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None

    def append(self, records: Sequence[ChatRecord], *, error: str | None = None) -> None:
        """Returns when the rows are on the disk; with `error`, they are marked as rejected. Known ids are ignored."""
        rejected_at = None if error is None else time.time()
        rows = [
            (str(record.id), self._database, record.created_at.timestamp(), encode(record), error, rejected_at)
            for record in records
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
        """A full disk has no space for the journal of an update: the ballast makes some."""
        try:
            self.run(lambda connection: connection.executemany(statement, parameters))
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_FULL or not self._ballast.exists():
                raise
            self._ballast.unlink(missing_ok=True)
            self.run(lambda connection: connection.executemany(statement, parameters))

    def usage(self) -> Usage:
        """What waits, and what space there is. Renews the ballast."""
        free_bytes = 0

        def look(connection: sqlite3.Connection) -> tuple[int, float | None, int]:
            nonlocal free_bytes
            free_bytes = _pragma(connection, "freelist_count") * _pragma(connection, "page_size")
            found: tuple[int, float | None, int] = connection.execute(_USAGE).fetchone()
            return found

        rows, oldest, rejected = self.run(look)
        on_disk = shutil.disk_usage(self._folder).free
        if not self._ballast.exists() and on_disk > 4 * _BALLAST_BYTES:
            self._renew_ballast()
        damaged = len(list(self._folder.glob("damaged-*.db")))
        return Usage(rows, oldest, rejected, free_bytes + on_disk, damaged)

    def check(self) -> None:
        """Commits a change of nothing and writes a fresh ballast, to see whether the disk takes both."""
        self.run(lambda connection: connection.execute("PRAGMA user_version = 1"))
        self._renew_ballast()

    def _renew_ballast(self) -> None:
        fresh = self._folder / f"ballast-{os.getpid()}"
        try:
            with os.fdopen(_open(fresh, os.O_CREAT | os.O_WRONLY), "wb") as file:
                file.write(os.urandom(_BALLAST_BYTES))  # some file systems store zeros without taking space
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self._ballast)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise

    def lease(self) -> BinaryIO | None:
        """The right to move rows to this database, until the file is closed; None if another process has it."""
        name = sha256(self._database.encode()).hexdigest()[:12]
        file = os.fdopen(_open(self._folder / f"replay-{name}.lock", os.O_CREAT | os.O_RDWR), "r+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def remove_if_empty(self) -> bool:
        """Removes the file without rows: what was deleted from it would stay readable in its free pages."""
        with self._locked():
            if self._transact(lambda connection: connection.execute("SELECT 1 FROM chat_logs LIMIT 1").fetchone()):
                return False
            self.close()
            self._journal.unlink(missing_ok=True)
            self._path.unlink()
            sync(self._folder)
            self._reservations.used_bytes = 0
            return True

    def close(self) -> None:
        """Rolls back what was not committed."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def run(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Runs `work` in a transaction. A file that turns out to be damaged is moved aside, and a fresh one used."""
        with self._locked():
            try:
                return self._transact(work)
            except sqlite3.DatabaseError as exc:
                if getattr(exc, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
                    raise
                self._move_aside(str(exc))
                return self._transact(work)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Opened each time: the folder may have been removed and created again."""
        if self._folder.is_symlink() or not self._folder.is_dir():
            make_private(self._folder)
        descriptor = _open(self._folder / "outbox.lock", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _transact(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        try:
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            pages = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
            used_bytes = pages * _pragma(connection, "page_size")
            connection.execute("COMMIT")
        except BaseException:
            self.close()
            raise
        if _inode(self._path) != self._inode:
            raise FileNotFoundError(errno.ENOENT, "the file was removed while it was written", str(self._path))
        self._reservations.used_bytes = used_bytes
        return result

    def _connected(self) -> sqlite3.Connection:
        """Whoever replaced the file since the last call has left another inode."""
        inode = _inode(self._path)
        if self._connection is not None and inode == self._inode:
            return self._connection
        self.close()
        make_private(self._folder)
        _ = _inode(self._journal)
        if inode is None:
            self._journal.unlink(missing_ok=True)  # of a file that is gone: it would be rolled back into this one
            os.close(_open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR))
            sync(self._folder)
            inode = _inode(self._path)
        self._inode = inode
        connection = sqlite3.connect(self._path, timeout=self._busy_timeout_s, isolation_level=None)
        self._connection = connection
        connection.execute("PRAGMA journal_mode=TRUNCATE")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(_SCHEMA)
        return connection

    def _move_aside(self, cause: str) -> None:
        """The journal first: left behind, it would be rolled back into the fresh file."""
        name = f"damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}.db"
        with suppress(FileNotFoundError):
            self._journal.rename(self._folder / f"{name}-journal")
        self._path.rename(self._folder / name)
        sync(self._folder)
        log.error("outbox.damaged", error=cause, moved_to=str(self._folder / name))


def encode(record: ChatRecord) -> bytes:
    """A row's payload. Raises what msgspec raises for what no JSON can say."""
    return msgspec.json.encode(record)


def decode(payload: bytes) -> ChatRecord:
    """Raises ValueError for what is no row: something else has written it."""
    try:
        return msgspec.json.decode(payload, type=ChatRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise ValueError(f"the payload cannot be read: {exc}") from exc


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, _PRIVATE)


def _inode(path: Path) -> int | None:
    """None if there is no such file. Raises OSError for a symbolic link, or anything else that is no file."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(facts.st_mode):
        raise OSError(errno.ELOOP, "it is a symbolic link or no regular file", str(path))
    return facts.st_ino
