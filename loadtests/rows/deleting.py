"""What it takes to get rid of the oldest month while chats are being written."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine
from uuid_utils.compat import uuid7

from app.commands.prune import delete_before
from app.core.config import Settings
from app.db.repositories.chat_log import ChatLogRepository
from loadtests.bench.report import Section, number
from loadtests.rows.filled import Filled
from tests.support.records import record

_WRITE_EVERY_S = 0.02
_MONTH = timedelta(days=30)


def deleting(filled: Sequence[Filled]) -> Section:
    """The two ways, each in the shape that it is for."""
    return Section(
        "Deleting the oldest month",
        "`make prune`, and dropping a partition, while a row is committed every 20 ms; how long those commits take, in "
        "ms. A table does not become smaller: new rows take what is free.",
        ["", "rows", "s", "commits p50", "commits p99", "VACUUM s", "table MB before", "after"],
        [_row("make prune", filled[0], _prune), _row("DROP TABLE", filled[-1], _drop)],
    )


def _row(name: str, filled: Filled, delete: Callable[[Filled], Awaitable[None]]) -> list[str]:
    count = f"SELECT count(*) FROM chat_logs WHERE created_at < '{filled.last.isoformat()}'"
    size, before = filled.size_mb("table"), filled.number(count)

    async def beside_commits(engine: AsyncEngine) -> tuple[float, list[float]]:
        commits: list[float] = []
        writer = asyncio.create_task(_write(ChatLogRepository(engine), commits))
        await asyncio.sleep(1)
        warm_up, began = len(commits), time.perf_counter()
        await delete(filled)
        took = time.perf_counter() - began
        await asyncio.sleep(_WRITE_EVERY_S * 2)  # one that waited for it is over
        writer.cancel()
        with suppress(asyncio.CancelledError):
            await writer
        return took, commits[warm_up:]

    took, commits = filled.run(beside_commits)
    gone = before - filled.number(count)
    vacuum_s = asyncio.run(_vacuum(filled))
    middle, worst = statistics.median(commits), max(commits) if len(commits) < 100 else _p99(commits)
    figures = (took, middle, worst, vacuum_s, size, filled.size_mb("table"))
    return [name, f"{gone:,.0f}", *(number(each) for each in figures)]


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


async def _prune(filled: Filled) -> None:
    await delete_before(Settings(_env_file=None, database_url=filled.url), filled.first + _MONTH)


async def _drop(filled: Filled) -> None:
    async with filled.connected() as connection:
        await connection.execute("DROP TABLE chat_logs_0")


async def _vacuum(filled: Filled) -> float:
    async with filled.connected() as connection:
        began = time.perf_counter()
        await connection.execute("VACUUM chat_logs")
        return time.perf_counter() - began


async def _write(rows: ChatLogRepository, commits: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await rows.insert([record(id=uuid7(), created_at=datetime.now(UTC))])
        commits.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(_WRITE_EVERY_S)
