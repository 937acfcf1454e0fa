"""A writer with all that it stands on, over rows that the test decides about."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from app.core.record import ChatRecord
from app.db.commits import Commits, RowInserter
from app.db.errors import RowsRefused
from app.db.outbox import Outbox
from app.db.outbox_file import OutboxFile
from app.db.replay import decode
from app.db.reservations import Reservations
from app.db.writer import ChatLogWriter
from tests.db.watch import Watch

DATABASE = "postgresql://db.example.org:5432/chats"
OUTBOX_TIMEOUT_S = 10.0


class GatedRows:
    """Keeps batches, each row once; an insert waits at a gate, and fails if it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[ChatRecord]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.tries = 0

    @property
    def kept(self) -> list[str]:
        """The prompts of the rows, in the order in which they came."""
        return [str(record.prompt) for batch in self.batches for record in batch]

    async def insert(self, records: Sequence[ChatRecord]) -> None:
        self.tries += 1
        await self.gate.wait()
        if self.error:
            raise self.error
        if any(record.prompt == "poison" for record in records):
            raise RowsRefused("refused for its data")
        there = {record.id for batch in self.batches for record in batch}
        self.batches.append([record for record in records if record.id not in there])

    async def ping(self) -> None:
        await self.gate.wait()
        if self.error:
            raise self.error


def outbox_file(folder: Path, *, database: str = DATABASE, reservations: Reservations | None = None) -> OutboxFile:
    return OutboxFile(folder, database=database, reservations=reservations)


def outbox(
    folder: Path,
    *,
    max_bytes: int = 10**9,
    timeout_s: float | None = None,
    watch: Watch | None = None,
    database: str = DATABASE,
) -> Outbox:
    reservations = Reservations()
    return Outbox(
        outbox_file(folder, database=database, reservations=reservations),
        max_bytes=max_bytes,
        timeout_s=timeout_s or OUTBOX_TIMEOUT_S,
        reservations=reservations,
        events=watch or Watch(),
    )


@asynccontextmanager
async def keeping(
    rows: RowInserter,
    folder: Path | None,
    *,
    timeout_s: float = 2,
    max_rows: int = 100,
    watch: Watch | None = None,
    database: str = DATABASE,
) -> AsyncIterator[ChatLogWriter]:
    """A writer that runs; without a folder it has no outbox."""
    watch = watch or Watch()
    commits = Commits(rows, timeout_s=timeout_s, events=watch)
    disk = None if folder is None else outbox(folder, watch=watch, database=database)
    async with ChatLogWriter(commits, disk, max_rows=max_rows) as log:
        yield log


def leave(folder: Path, records: Sequence[ChatRecord], *, database: str = DATABASE) -> None:
    """What a process left in an outbox that has ended."""
    with closing(outbox_file(folder, database=database)) as file:
        file.append(records)


def stored(folder: Path, columns: str = "*") -> list[sqlite3.Row]:
    """The rows of an outbox, in the order in which they came; none without a file."""

    def read(connection: sqlite3.Connection) -> list[Any]:
        connection.row_factory = sqlite3.Row
        return connection.execute(f"SELECT {columns} FROM chat_logs ORDER BY rowid").fetchall()

    with closing(outbox_file(folder)) as file:
        return file.run(read)


def prompts_in(folder: Path, *, rejected: bool = False) -> list[str]:
    """Of the rows that wait, or of those that the database refused."""
    rows = stored(folder, "payload, rejected_at")
    return [str(decode(row["payload"]).prompt) for row in rows if (row["rejected_at"] is not None) is rejected]
