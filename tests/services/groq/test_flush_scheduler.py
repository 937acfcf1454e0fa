"""When blocks are due."""

import asyncio
from typing import Any

import pytest

from app.services.groq.flush_scheduler import FlushScheduler
from tests.support.virtual_time import VirtualClock


@pytest.fixture
def anyio_backend(virtual_time: Any) -> Any:
    return virtual_time


async def test_streams_of_one_phase_are_flushed_at_the_same_moments() -> None:
    scheduler, clock = FlushScheduler(0.016), asyncio.get_running_loop().time
    for phase in (0, 0.25, 0.5, 0.75):
        before, due, after = clock(), scheduler.next_flush(phase), clock()
        assert before < due <= after + 0.016 + 0.0011, "not later than an interval, and the clock's millisecond"
        assert due / 0.016 - phase == pytest.approx(round(due / 0.016 - phase))


def test_streams_are_spread_over_four_phases() -> None:
    scheduler = FlushScheduler(0.016)
    assert sorted(scheduler.assign_phase() for _ in range(8)) == [0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75]


async def test_without_an_interval_every_flush_is_due() -> None:
    scheduler = FlushScheduler(0)
    scheduler.record_lag(0.03)
    assert scheduler.next_flush(0.25) < asyncio.get_running_loop().time()


async def test_the_interval_grows_with_the_lag_and_shrinks_afterwards() -> None:
    scheduler = FlushScheduler(0.016)
    scheduler.record_lag(0.001)
    assert scheduler.interval_s == 0.016
    scheduler.record_lag(0.03)
    assert scheduler.interval_s == pytest.approx(0.12)
    scheduler.record_lag(5)
    assert scheduler.interval_s == 0.25
    for _ in range(20):
        scheduler.record_lag(0.001)
    assert scheduler.interval_s == 0.016


async def test_the_lag_is_measured_until_it_is_stopped(virtual_clock: VirtualClock) -> None:
    scheduler = FlushScheduler(0.016)
    async with scheduler.measuring():
        await asyncio.sleep(0.12)
        assert scheduler.interval_s == 0.016
        virtual_clock.advance(0.3)
        await asyncio.sleep(0.001)
        assert scheduler.interval_s == 0.25
    virtual_clock.advance(0.3)
    await asyncio.sleep(0.12)
    assert scheduler.interval_s == 0.25
