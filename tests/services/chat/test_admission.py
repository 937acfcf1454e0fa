"""Admission of chats: slots, the queue, space for rows."""

import asyncio
from typing import Any

import pytest

from app.core.config import Settings
from app.core.errors import ModelNotFound, Overloaded, RowsUnavailable, ServerDraining
from app.schemas.chat import ChatRequest
from app.services.chat.admission import Admission, resolve_model
from app.services.chat.timeouts import Drain
from tests.services.fakes import FakeStore
from tests.support.bodies import parsed

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
    with pytest.raises(Overloaded, match="runs 2 chats") as refused:
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


async def test_cancelled_waits_give_their_turn_to_the_next_caller() -> None:
    limits = Limits(max_queued_chats=3)
    await limits.enter(2)
    first, second, next_one = await limits.waiting(3)
    first.cancel()
    await asyncio.sleep(0)
    second.cancel()  # it has not resumed when the slot becomes free
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
    with pytest.raises(ServerDraining):
        await waiting
    assert limits.admission.active == 1


async def test_a_row_that_does_not_fit_takes_neither_slot_nor_space() -> None:
    limits = Limits()
    limits.store.free_bytes = ROW - 1
    with pytest.raises(RowsUnavailable) as refused:
        await limits.enter()
    assert (refused.value.retry_after, limits.store.free_bytes, limits.admission.active) == (1, ROW - 1, 0)
    limits.store.free_bytes = ROW
    await limits.enter()
    assert (limits.store.free_bytes, limits.admission.active) == (0, 1)


async def test_a_drain_ends_the_wait_for_a_slot() -> None:
    limits = Limits(queue_timeout_s=60)
    await limits.enter(2)
    (waiting,) = await limits.waiting(1)
    limits.drain.start(grace_s=1)
    with pytest.raises(ServerDraining):
        await asyncio.wait_for(waiting, 5)
    assert limits.admission.active == 2


async def test_a_check_refuses_what_entering_would_refuse() -> None:
    limits = Limits(max_queued_chats=1)
    limits.admission.check()
    await limits.enter(2)
    limits.admission.check()  # it might wait
    (waiting,) = await limits.waiting(1)
    with pytest.raises(Overloaded):
        limits.admission.check()
    limits.leave()
    await waiting
    limits.admission.check()
    limits.store.free_bytes = -1
    with pytest.raises(RowsUnavailable):
        limits.admission.check()
    limits.drain.start(60)
    with pytest.raises(ServerDraining):
        limits.admission.check()


async def test_it_is_idle_when_the_last_chat_has_left() -> None:
    limits = Limits()
    await asyncio.wait_for(limits.admission.wait_idle(), 1)
    await limits.enter(2)
    idle = asyncio.create_task(limits.admission.wait_idle())
    limits.leave()
    await asyncio.sleep(0)
    assert not idle.done()
    limits.leave()
    await asyncio.wait_for(idle, 1)


def request(**fields: Any) -> ChatRequest:
    return parsed({"messages": [{"role": "user", "content": "Hi"}] * 3, **fields}, ChatRequest)


def test_the_model_is_that_of_the_request_or_the_default() -> None:
    settings = Settings(_env_file=None, groq_default_model="default", groq_model_aliases={"short": "long"})
    assert resolve_model(request(), settings) == ("default", "default")
    assert resolve_model(request(model="other"), settings) == ("other", "other")
    assert resolve_model(request(model="short"), settings) == ("short", "long")


def test_a_model_that_is_not_served_is_not_found() -> None:
    settings = Settings(_env_file=None, groq_default_model="one", allowed_models="one")
    with pytest.raises(ModelNotFound, match="`two`") as refused:
        resolve_model(request(model="two"), settings)
    assert refused.value.param == "model"
