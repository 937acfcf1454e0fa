"""Memory for bodies is shared out so that nobody takes it all."""

import gc
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.body_budget import BodyBudget
from app.core.errors import BodyBytesExceeded, Overloaded, ServiceError


def test_one_caller_alone_gets_half() -> None:
    budget = BodyBudget(100)
    budget.lease("a").grow(50)
    with pytest.raises(BodyBytesExceeded) as refusal:
        budget.lease("a").grow(1)
    assert refusal.value.status == 429
    assert refusal.value.retry_after in {1, 2, 3}


def test_what_is_left_is_for_others_and_the_heaviest_is_refused_first() -> None:
    budget = BodyBudget(100)
    budget.lease("a").grow(50)
    other = budget.lease("b")
    other.grow(25)
    for caller in ("a", "b"):
        with pytest.raises(BodyBytesExceeded):
            budget.lease(caller).grow(10)
    budget.lease("c").grow(10)


def test_who_holds_nothing_and_finds_no_room_has_not_caused_it() -> None:
    budget = BodyBudget(100)
    budget.lease("a").grow(50)
    with pytest.raises(Overloaded) as refusal:
        budget.lease("b").grow(40)
    assert refusal.value.status == 503


def test_bytes_are_given_back_when_the_last_holder_releases_them() -> None:
    budget = BodyBudget(100)
    lease = budget.lease("a")
    lease.grow(20)
    lease.grow(30)
    lease.grow(10)  # no less than before
    lease.hold()
    lease.release()
    assert budget.used == 30
    lease.release()
    assert budget.used == 0


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_what_large_chats_leave_in_cycles_is_collected_by_its_bytes() -> None:
    """Python would wait until there are thousands of such objects, of megabytes each."""

    class Left:
        def __init__(self) -> None:
            self.cycle = self

    budget, left = BodyBudget(2**30), [weakref.ref(Left()) for _ in range(3)]
    small = budget.lease("a")
    small.grow(2**10)
    small.hold()
    for _ in range(2):
        small.release()
    assert all(each() for each in left)
    for _ in range(2):
        large = budget.lease("a")
        large.grow(2**22)
        large.hold()
        large.release()
        large.release()
    assert not any(each() for each in left)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60)), max_size=30))
def test_the_limit_holds_and_nothing_is_left_behind(wanted: list[tuple[str, int]]) -> None:
    budget, leases = BodyBudget(100), []
    for caller, count in wanted:
        lease = budget.lease(caller)
        leases.append(lease)
        before = budget.used
        try:
            lease.grow(count)
        except ServiceError:
            assert budget.used == before
        assert budget.used < 100
    for lease in leases:
        lease.release()
    assert budget.used == 0
