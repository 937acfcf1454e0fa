"""Request bodies: the time that they may take, and their memory, which is divided between clients."""

import asyncio
import gc
import json
import time
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from app.api.bodies import BodyBudget, BodyReader, _network
from app.core.config import Settings
from app.core.errors import BodyBytesExceeded, BodyTooSlow, Overloaded, ServerDraining, ServiceError
from app.schemas.chat import ChatRequest
from app.services.chat.timeouts import Drain
from tests.support.service import HELLO


@pytest.mark.parametrize("over", [False, True])
async def test_body_that_does_not_arrive_times_out(*, over: bool) -> None:
    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    drain = Drain()
    if over:
        drain.expire()
    bodies = BodyReader(Settings(_env_file=None, body_timeout_s=60 if over else 0.05), drain=drain)
    request = Request({"type": "http", "headers": [(b"content-type", b"application/json")], "state": {}}, never)
    with pytest.raises(ServerDraining if over else BodyTooSlow):
        await asyncio.wait_for(bodies.read(request, ChatRequest, bodies.memory_for(None, request.scope)), 5)
    bodies.close()


async def test_a_body_that_has_arrived_may_wait_to_be_scanned() -> None:
    """Neither its time limit nor the times of its chat count that: the client cannot send it any faster."""
    body = json.dumps(HELLO | {"user": "x" * 2**16}).encode()

    async def at_once() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    bodies = BodyReader(Settings(_env_file=None, body_timeout_s=0.05), drain=Drain())
    request = Request({"type": "http", "headers": [(b"content-type", b"application/json")], "state": {}}, at_once)
    async with bodies._scan_lock:
        reading = asyncio.create_task(bodies._collect(request, bodies.memory_for(None, request.scope)))
        await asyncio.sleep(0.2)
        sent = time.monotonic()
    data, _ = await reading
    assert data == body
    assert request.scope["state"]["arrived"] < sent - 0.1
    assert request.scope["state"]["body_bytes"] == len(body)
    bodies.close()


def test_single_client_may_use_half_of_the_budget() -> None:
    budget = BodyBudget(100)
    budget.memory_for("a").grow(50)
    with pytest.raises(BodyBytesExceeded) as refusal:
        budget.memory_for("a").grow(1)
    assert refusal.value.status == 429
    assert refusal.value.retry_after in {1, 2, 3}


def test_remaining_half_is_shared_by_other_clients() -> None:
    budget = BodyBudget(100)
    budget.memory_for("a").grow(50)
    other = budget.memory_for("b")
    other.grow(25)
    for client in ("a", "b"):
        with pytest.raises(BodyBytesExceeded):
            budget.memory_for(client).grow(10)
    budget.memory_for("c").grow(10)


def test_client_without_bytes_is_refused_with_503_and_not_429() -> None:
    budget = BodyBudget(100)
    budget.memory_for("a").grow(50)
    with pytest.raises(Overloaded) as refusal:
        budget.memory_for("b").grow(40)
    assert refusal.value.status == 503


def test_only_request_of_a_client_is_refused_with_503_also_while_it_arrives_in_chunks() -> None:
    budget = BodyBudget(100)
    budget.memory_for("a").grow(50)
    upload = budget.memory_for("b")
    upload.grow(20)
    with pytest.raises(Overloaded):
        upload.grow(40)


def test_bytes_are_released_by_the_last_holder() -> None:
    budget = BodyBudget(100)
    memory = budget.memory_for("a")
    memory.grow(20)
    memory.grow(30)
    memory.grow(10)  # memory never shrinks
    memory.hold()
    memory.release()
    assert budget.used == 30
    memory.release()
    assert budget.used == 0


@pytest.mark.parametrize(
    ("client", "network"),
    [
        (("192.0.2.1", 80), "192.0.2.1"),
        (("2001:db8::1:2", 80), "2001:db8::/64"),
        (("::ffff:192.0.2.1", 80), "192.0.2.1"),
        (("_hidden", 0), "_hidden"),  # from a proxy's X-Forwarded-For
        (None, "unknown"),
    ],
)
def test_clients_without_a_key_are_told_apart_by_their_network(client: tuple[str, int] | None, network: str) -> None:
    assert _network({"client": client}) == network


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_released_bytes_trigger_garbage_collection() -> None:
    """Python itself waits for thousands of objects, which may hold megabytes each."""

    class Garbage:
        def __init__(self) -> None:
            self.cycle = self

    budget, garbage = BodyBudget(2**30), [weakref.ref(Garbage()) for _ in range(3)]
    small = budget.memory_for("a")
    small.grow(2**10)
    small.hold()
    for _ in range(2):
        small.release()
    assert all(each() for each in garbage)
    for _ in range(16):
        large = budget.memory_for("a")
        large.grow(2**22)
        large.hold()
        large.release()
        large.release()
    assert not any(each() for each in garbage)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60)), max_size=30))
def test_budget_is_never_exceeded_and_is_empty_after_all_releases(wanted: list[tuple[str, int]]) -> None:
    budget, memories = BodyBudget(100), []
    for client, count in wanted:
        memory = budget.memory_for(client)
        memories.append(memory)
        before = budget.used
        try:
            memory.grow(count)
        except ServiceError:
            assert budget.used == before
        assert budget.used < 100
    for memory in memories:
        memory.release()
    assert budget.used == 0
