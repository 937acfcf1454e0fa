"""Lines that clients without a valid key can cause are limited and counted."""

import asyncio
from typing import Any

from app.observability.log_events import LineLimit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_lines_over_the_limit_are_suppressed_and_counted(lines: list[Any]) -> None:
    clock = Clock()
    limit = LineLimit("connection.refused", per_s=3, clock=clock)
    assert [limit.allows() for _ in range(8)] == [True] * 3 + [False] * 5
    clock.now += 1
    assert [limit.allows() for _ in range(4)] == [True] * 3 + [False]
    assert lines == []
    await asyncio.sleep(1.1)
    assert lines == [
        {"event": "log.lines_suppressed", "suppressed_event": "connection.refused", "count": 6, "log_level": "info"}
    ]
    clock.now += 1
    assert limit.allows()


async def test_below_the_limit_nothing_is_logged(lines: list[Any]) -> None:
    clock = Clock()
    limit = LineLimit("connection.refused", per_s=3, clock=clock)
    for _ in range(10):
        assert [limit.allows() for _ in range(3)] == [True] * 3
        clock.now += 1
    await asyncio.sleep(1.1)
    assert lines == []
