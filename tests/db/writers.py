"""Helpers: a writer with its outbox, over a database that the test controls."""

import asyncio
import resource
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

from app.core.record import ChatRecord
from app.db.commits import Commits, RowInserter
from app.db.errors import RowsRejected
from app.db.outbox import Outbox
from app.db.outbox_file import OutboxFile
from app.db.replay import decode
from app.db.reservations import Reservations
from app.db.writer import ChatLogWriter
from tests.db.events import RecordedEvents
from tests.support.processes import PROJECT
from tests.support.records import record

DATABASE = "postgresql://db.example.org:5432/chats"
OUTBOX_TIMEOUT_S = 10.0


class GatedDatabase:
    """Stores batches, each row once. An insert waits while `gate` is not set, and raises `error` if there is one."""

    def __init__(self) -> None:
        self.batches: list[list[ChatRecord]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.tries = 0

    @property
    def prompts(self) -> list[str]:
        """The prompts of the rows, in the order in which they were inserted."""
        return [str(record.prompt) for batch in self.batches for record in batch]

    async def insert(self, records: Sequence[ChatRecord]) -> None:
        self.tries += 1
        await self.gate.wait()
        if self.error:
            raise self.error
        if any(record.prompt == "poison" for record in records):
            raise RowsRejected("refused for its data")
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
    events: RecordedEvents | None = None,
    database: str = DATABASE,
) -> Outbox:
    reservations = Reservations()
    return Outbox(
        outbox_file(folder, database=database, reservations=reservations),
        max_bytes=max_bytes,
        timeout_s=timeout_s or OUTBOX_TIMEOUT_S,
        reservations=reservations,
        events=events or RecordedEvents(),
    )


@asynccontextmanager
async def running_writer(
    rows: RowInserter,
    folder: Path | None,
    *,
    timeout_s: float = 2,
    max_rows: int = 100,
    events: RecordedEvents | None = None,
    database: str = DATABASE,
) -> AsyncIterator[ChatLogWriter]:
    """A writer that runs; without a folder it has no outbox."""
    events = events or RecordedEvents()
    commits = Commits(rows, timeout_s=timeout_s, events=events)
    disk = None if folder is None else outbox(folder, events=events, database=database)
    async with ChatLogWriter(commits, disk, max_rows=max_rows) as log:
        yield log


def fill_outbox(folder: Path, records: Sequence[ChatRecord], *, database: str = DATABASE) -> None:
    """Adds rows as a process that has ended left them."""
    with closing(outbox_file(folder, database=database)) as file:
        file.append(records)


def outbox_rows(folder: Path, columns: str = "*") -> list[sqlite3.Row]:
    """The rows of an outbox, in the order in which they were inserted; none without a file."""

    def read(connection: sqlite3.Connection) -> list[Any]:
        connection.row_factory = sqlite3.Row
        return connection.execute(f"SELECT {columns} FROM chat_logs ORDER BY rowid").fetchall()

    with closing(outbox_file(folder)) as file:
        return file.run(read)


def prompts_in(folder: Path, *, rejected: bool = False) -> list[str]:
    """Of the rows that wait, or of those that the database rejected."""
    rows = outbox_rows(folder, "payload, rejected_at")
    return [str(decode(row["payload"]).prompt) for row in rows if (row["rejected_at"] is not None) is rejected]


def records(*prompts: str) -> list[ChatRecord]:
    return [record(prompt=prompt) for prompt in prompts]


@contextmanager
def full_disk(after_bytes: int) -> Iterator[None]:
    """No file may grow larger: the kernel refuses it as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def child(code: str, *args: object) -> subprocess.Popen[str]:
    """A process of its own, which writes a line for each thing that it has done."""
    imports = "import os, sys; from pathlib import Path; from tests.db.writers import outbox_file, record\n"
    command = [sys.executable, "-c", imports + code, *map(str, args)]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)


async def until_drained(log: ChatLogWriter) -> None:
    async with asyncio.timeout(60):
        while log.outbox_rows or not log.database_healthy:
            await asyncio.sleep(0.005)


def numbered(count: int) -> list[ChatRecord]:
    return [record(prompt=f"{number}") for number in range(count)]
