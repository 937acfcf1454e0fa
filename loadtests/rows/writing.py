"""What it costs to write rows, as the service writes them."""

import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine
from uuid_utils.compat import uuid7

from app.core.record import ChatRecord
from app.db.repositories.chat_log import ChatLogRepository
from loadtests.bench.report import Section, number
from loadtests.rows.filled import Filled
from tests.support.records import record

_ROUNDS = 5
_BATCHES = 40
_AT_ONCE = 50
_ANSWER = "An answer of two hundred tokens, of which each has four letters. " * 13


def writing(filled: Sequence[Filled]) -> Section:
    """In turns, so that the machine's moods are shared."""
    took: dict[str, list[tuple[float, float]]] = {each.shape.name: [] for each in filled}
    wal: dict[str, list[float]] = {each.shape.name: [] for each in filled}
    for _ in range(_ROUNDS):
        for each in filled:
            before = each.wal_bytes()
            took[each.shape.name].append(each.run(_write))
            wal[each.shape.name].append((each.wal_bytes() - before) / (_BATCHES * (_AT_ONCE + 1)))
    return Section(
        "Writing",
        f"The service's own INSERT, {_AT_ONCE} rows at once and one at a time, in ms for each row: the median of "
        f"{_ROUNDS} rounds of {_BATCHES} commits. Bytes of WAL for each row; what table and indexes take.",
        ["", f"ms/row of {_AT_ONCE}", "ms/row of 1", "WAL bytes/row", "table MB", "indexes MB"],
        [
            [
                each.shape.name,
                number(statistics.median(many for many, _ in took[each.shape.name])),
                number(statistics.median(one for _, one in took[each.shape.name])),
                number(statistics.median(wal[each.shape.name])),
                number(each.size_mb("table")),
                number(each.size_mb("indexes")),
            ]
            for each in filled
        ],
    )


async def _write(engine: AsyncEngine) -> tuple[float, float]:
    """Milliseconds for each row: of many at once, and of one."""
    rows = ChatLogRepository(engine)
    await rows.insert([_row()])  # connected, and its statement prepared
    many = [await _timed(rows, _AT_ONCE) / _AT_ONCE for _ in range(_BATCHES)]
    one = [await _timed(rows, 1) for _ in range(_BATCHES)]
    return statistics.median(many), statistics.median(one)


async def _timed(rows: ChatLogRepository, count: int) -> float:
    batch = [_row() for _ in range(count)]
    began = time.perf_counter()
    await rows.insert(batch)
    return (time.perf_counter() - began) * 1000


def _row() -> ChatRecord:
    return record(id=uuid7(), created_at=datetime.now(UTC), response=_ANSWER)
