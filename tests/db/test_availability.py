"""Whether the database takes rows, with a database that the test breaks."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.db.commits import Availability
from app.db.errors import NotMigrated


class Database:
    """Answers pings while it is healthy."""

    def __init__(self) -> None:
        self.healthy = True
        self.pings = 0

    async def ping(self) -> None:
        self.pings += 1
        if not self.healthy:
            raise ConnectionError("unavailable")


@pytest.fixture
def anyio_backend(virtual_time: Any) -> Any:
    return virtual_time


def is_healthy(state: Availability) -> bool:
    return state.healthy


async def until_healthy(state: Availability) -> None:
    async with asyncio.timeout(60):
        while not is_healthy(state):
            await asyncio.sleep(0.1)


async def test_database_is_unhealthy_from_a_failed_commit_until_it_answers_a_ping() -> None:
    database = Database()
    state = Availability(database.ping)
    assert is_healthy(state)
    database.healthy = False
    state.on_failure()
    state.on_failure()
    assert not is_healthy(state)
    await asyncio.sleep(5)
    assert not is_healthy(state)
    assert database.pings > 1
    database.healthy = True
    await until_healthy(state)


async def test_ping_interval_doubles_when_the_database_fails_again_after_a_recovery() -> None:
    """A chat that is admitted while the database fails again costs tokens."""
    database = Database()
    state = Availability(database.ping)
    loop = asyncio.get_running_loop()
    pauses = []
    for _ in range(8):
        began = loop.time()
        state.on_failure()
        await until_healthy(state)
        pauses.append(loop.time() - began)
    assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 16, 16, 16], abs=0.15)  # it is checked every 0.1 s
    state.on_success(live=True)
    state.on_failure()
    await until_healthy(state)
    assert database.pings == 9


async def test_no_ping_is_sent_after_close() -> None:
    database = Database()
    database.healthy = False
    state = Availability(database.ping)
    state.on_failure()
    await state.aclose()
    before = database.pings
    await asyncio.sleep(60)
    assert database.pings == before


async def test_a_row_that_is_stored_ends_not_migrated_before_the_next_check_of_the_tables() -> None:
    """Otherwise readiness would fail for a while after a migration whose first row is stored already."""

    async def ping() -> None:
        raise NotMigrated('relation "chat_logs" does not exist')

    state = Availability(ping)
    state.start()
    with capture_logs() as lines:
        await asyncio.sleep(60)
    assert [line["event"] for line in lines] == ["database.not_migrated"]  # of many checks
    assert not state.migrated
    state.on_success(live=False)
    assert vars(state)["migrated"]
    await state.aclose()
