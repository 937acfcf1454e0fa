"""When blocks are due."""

import asyncio
from typing import Any

import pytest

from app.groq.frames import Frames
from tests.support.virtual_time import VirtualClock


@pytest.fixture
def anyio_backend(virtual_time: Any) -> Any:
    return virtual_time


async def test_frames_begin_at_the_same_moments_for_all() -> None:
    frames, clock = Frames(0.016), asyncio.get_running_loop().time
    for turn in (0, 0.25, 0.5, 0.75):
        before, due, after = clock(), frames.next(turn), clock()
        assert before < due <= after + 0.016 + 0.0011, "not later than a frame, and the millisecond that clocks round"
        assert due / 0.016 - turn == pytest.approx(round(due / 0.016 - turn))


def test_streams_take_turns() -> None:
    frames = Frames(0.016)
    assert sorted(frames.phase() for _ in range(8)) == [0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75]


async def test_a_worker_that_falls_behind_has_longer_frames_until_it_has_caught_up() -> None:
    frames = Frames(0.016)
    frames.note(0.001)
    assert frames.length_s == 0.016
    frames.note(0.03)
    assert frames.length_s == pytest.approx(0.12)
    frames.note(5)
    assert frames.length_s == 0.25
    for _ in range(20):
        frames.note(0.001)
    assert frames.length_s == 0.016


async def test_it_looks_by_itself_while_it_runs(virtual_clock: VirtualClock) -> None:
    frames = Frames(0.016)
    frames.start()
    await asyncio.sleep(0.12)
    assert frames.length_s == 0.016
    virtual_clock.advance(0.3)
    await asyncio.sleep(0.001)
    assert frames.length_s == 0.25
    await frames.stop()
