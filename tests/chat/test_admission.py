"""Who may come in, who waits for a moment, and who is turned away at once."""

import asyncio
from typing import Any

import pytest

from app.chat.admission import Admission
from app.chat.drain import Drain
from app.core.config import Settings
from app.core.errors import Overloaded, RowsUnavailable, ServerStopping
from tests.chat.fakes import FakeLog

ROW = 100


class Door:
    """An admission with room for two streams, and for as many rows as the test says."""

    def __init__(self, **limits: Any) -> None:
        self.drain = Drain()
        self.log = FakeLog()
        limits = {"max_active_streams": 2, "max_queued_chats": 2, "queue_timeout_s": 5, **limits}
        self.admission = Admission(Settings(_env_file=None, **limits), drain=self.drain, log=self.log)

    async def enter(self, count: int = 1) -> None:
        for _ in range(count):
            await self.admission.enter(ROW)

    async def waiting(self, count: int) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.admission.enter(ROW)) for _ in range(count)]
        await asyncio.sleep(0)
        return tasks

    def leave(self) -> None:
        self.admission.leave(ROW)


async def test_a_place_that_is_free_goes_to_whoever_has_waited_longest() -> None:
    door = Door()
    await door.enter(2)
    first, second = await door.waiting(2)
    door.leave()
    await asyncio.wait_for(first, 1)
    assert not second.done()
    assert door.admission.active == 2
    door.leave()
    await asyncio.wait_for(second, 1)
    for _ in range(2):
        door.leave()
    assert door.admission.active == 0


async def test_beyond_the_queue_one_is_refused_at_once() -> None:
    door = Door()
    await door.enter(2)
    waiting = await door.waiting(2)
    with pytest.raises(Overloaded, match="all 2 streams") as refused:
        await door.enter()
    assert refused.value.retry_after in (1, 2, 3)
    for task in waiting:
        task.cancel()


async def test_waiting_takes_a_moment_and_no_longer() -> None:
    door = Door(queue_timeout_s=0.02)
    await door.enter(2)
    with pytest.raises(Overloaded):
        await asyncio.wait_for(door.enter(), 1)
    door.leave()
    await door.enter()
    assert door.admission.active == 2


async def test_one_that_stops_waiting_leaves_its_turn_to_the_next() -> None:
    door = Door()
    await door.enter(2)
    left, next_one = await door.waiting(2)
    left.cancel()
    await asyncio.sleep(0)
    door.leave()
    await asyncio.wait_for(next_one, 1)


async def test_a_place_that_comes_at_the_moment_of_leaving_is_not_lost() -> None:
    door = Door()
    await door.enter(2)
    left, next_one = await door.waiting(2)
    door.leave()  # the place is the first one's now, and it leaves before it knows
    left.cancel()
    await asyncio.wait_for(next_one, 1)
    door.leave()
    door.leave()
    assert door.admission.active == 0
    await asyncio.wait_for(door.admission.wait_idle(), 1)


async def test_nobody_begins_whose_row_has_no_room_beside_those_that_run() -> None:
    door = Door(max_active_streams=10)
    door.log.room = 3 * ROW
    await door.enter(3)
    with pytest.raises(RowsUnavailable):
        await door.enter()
    door.leave()
    await door.enter()


async def test_room_that_is_gone_after_the_wait_is_no_room() -> None:
    door = Door()
    await door.enter(2)
    (waiting,) = await door.waiting(1)
    door.log.room = 0
    door.leave()
    with pytest.raises(RowsUnavailable):
        await waiting
    assert door.admission.active == 1


async def test_a_server_that_stops_lets_nobody_in_who_waits() -> None:
    door = Door()
    await door.enter(2)
    (waiting,) = await door.waiting(1)
    door.drain.begin(60)
    door.leave()
    with pytest.raises(ServerStopping):
        await waiting
    assert door.admission.active == 1
