"""A writer with all that it stands on, over rows that the test decides about."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from app.core.record import ChatRecord
from app.db.commits import Commits, Rows
from app.db.errors import RowsRefused
from app.db.spool.segment import to_record
from app.db.spool.spool import Spool
from app.db.writer import ChatLogWriter
from tests.db.watch import Watch


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


@asynccontextmanager
async def keeping(
    rows: Rows,
    folder: Path,
    *,
    timeout_s: float = 2,
    max_rows: int = 100,
    max_bytes: int = 10**9,
    watch: Watch | None = None,
) -> AsyncIterator[ChatLogWriter]:
    """A writer that runs."""
    watch = watch or Watch()
    commits = Commits(rows, timeout_s=timeout_s, probe=watch)
    spool = Spool(folder, max_bytes=max_bytes, probe=watch)
    async with ChatLogWriter(commits, spool, max_rows=max_rows) as log:
        yield log


def prompts_in(folder: Path) -> list[str]:
    """What the whole lines of a folder's segments say."""
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().splitlines(keepends=True)]
    return [str(to_record(line).prompt) for line in lines if line.endswith(b"\n")]
