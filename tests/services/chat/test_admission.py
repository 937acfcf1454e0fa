"""Admission of chats: slots, the queue, space for rows."""

import asyncio
from typing import Any

import pytest

from app.core.config import Settings
from app.core.errors import Overloaded, RowsUnavailable, ServerStopping
from app.services.chat.admission import Admission
from app.services.chat.drain import Drain
from tests.services.fakes import FakeStore

ROW = 100


class Limits:
    """An admission with two slots, over a fake store."""

    def __init__(self, **limits: Any) -> None:
        self.drain = Drain()
        self.store = FakeStore()
        values = {"max_active_streams": 2, "max_queued_chats": 2, "queue_timeout_s": 5, **limits}
        self.admission = Admission(Settings(_env_file=None, **values), drain=self.drain, store=self.store)

    async def enter(self, count: int = 1) -> None:
        for _ in range(count):
            await self.admission.enter(ROW)

    async def waiting(self, count: int) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.admission.enter(ROW)) for _ in range(count)]
        await asyncio.sleep(0)
        return tasks

    def leave(self) -> None:
        self.admission.leave(ROW)


async def test_free_slot_goes_to_the_longest_waiting_caller() -> None:
    limits = Limits()
    await limits.enter(2)
    first, second = await limits.waiting(2)
    limits.leave()
    await asyncio.wait_for(first, 1)
    assert not second.done()
    assert limits.admission.active == 2
    limits.leave()
    await asyncio.wait_for(second, 1)
    for _ in range(2):
        limits.leave()
    assert limits.admission.active == 0


async def test_a_full_queue_refuses_at_once() -> None:
    limits = Limits()
    await limits.enter(2)
    waiting = await limits.waiting(2)
    with pytest.raises(Overloaded, match="all 2 streams") as refused:
        await limits.enter()
    assert refused.value.retry_after in (1, 2, 3)
    for task in waiting:
        task.cancel()


async def test_waiting_for_a_slot_is_bounded() -> None:
    limits = Limits(queue_timeout_s=0.02)
    await limits.enter(2)
    with pytest.raises(Overloaded):
        await asyncio.wait_for(limits.enter(), 1)
    limits.leave()
    await limits.enter()
    assert limits.admission.active == 2


async def test_a_cancelled_wait_gives_its_turn_to_the_next_caller() -> None:
    limits = Limits()
    await limits.enter(2)
    cancelled, next_one = await limits.waiting(2)
    cancelled.cancel()
    await asyncio.sleep(0)
    limits.leave()
    await asyncio.wait_for(next_one, 1)


async def test_a_slot_given_to_a_cancelled_wait_is_not_lost() -> None:
    limits = Limits()
    await limits.enter(2)
    cancelled, next_one = await limits.waiting(2)
    limits.leave()  # the first caller has the slot now, and is cancelled before it resumes
    cancelled.cancel()
    await asyncio.wait_for(next_one, 1)
    limits.leave()
    limits.leave()
    assert limits.admission.active == 0
    await asyncio.wait_for(limits.admission.wait_idle(), 1)


async def test_running_chats_reserve_space_for_their_rows() -> None:
    limits = Limits(max_active_streams=10)
    limits.store.free_bytes = 3 * ROW
    await limits.enter(3)
    with pytest.raises(RowsUnavailable):
        await limits.enter()
    limits.leave()
    await limits.enter()


async def test_space_is_checked_again_after_the_wait() -> None:
    limits = Limits()
    await limits.enter(2)
    (waiting,) = await limits.waiting(1)
    limits.store.free_bytes = -ROW  # as much as the next one releases
    limits.leave()
    with pytest.raises(RowsUnavailable):
        await waiting
    assert limits.admission.active == 1


async def test_a_stopping_server_admits_no_waiting_caller() -> None:
    limits = Limits()
    await limits.enter(2)
    (waiting,) = await limits.waiting(1)
    limits.drain.start(60)
    limits.leave()
    with pytest.raises(ServerStopping):
        await waiting
    assert limits.admission.active == 1
