"""The clock of one chat, with times that the test hands in."""

import pytest

from app.chat.block import Block
from app.chat.pace import Pace
from app.core.attempt import Attempt
from app.core.errors import UpstreamUnavailable

OPENING = Block(data=b"opening", chunks=1)
WORDS = Block(data=b"words", chunks=2, deltas=2)


def test_our_part_of_the_time_to_first_token_is_what_groq_and_the_queue_leave() -> None:
    pace = Pace(arrived=100.0, asked=100.5, admitted=101.0)
    pace.attempted(Attempt(model="m", started=101.25, ended=102.0, error=UpstreamUnavailable("busy")))
    pace.attempted(Attempt(model="m", started=104.0, ended=105.0))
    pace.add(OPENING, 105.5, waited_s=0.5)
    pace.resume(105.75)
    pace.add(WORDS, 106.25, waited_s=0.25)
    assert pace.first_chunk_s == 5.5
    assert pace.first_token_s == 6.25
    assert pace.queue_s == 0.5
    assert pace.retry_wait_s == 2.0
    # 0.5 before it asked, 0.25 before the first attempt, 0.25 to hand over the opening and 0.25 to read on
    assert pace.overhead_s() == pytest.approx(1.25)


def test_a_chat_without_a_token_has_no_overhead() -> None:
    pace = Pace(arrived=100.0, asked=100.0, admitted=100.0)
    pace.add(OPENING, 101.0, waited_s=1.0)
    assert (pace.first_token_s, pace.overhead_s(), pace.per_output_token_s(5)) == (None, None, None)


def test_silence_is_groq_s_and_counts_from_its_first_byte_on() -> None:
    pace = Pace(arrived=100.0, asked=100.0, admitted=100.0)
    pace.add(OPENING, 103.0, waited_s=3.0)
    pace.add(WORDS, 105.0, waited_s=2.0)
    pace.add(WORDS, 106.0, waited_s=1.0)
    assert pace.longest_silence_s == 2.0
    assert pace.stalls == [(3.0, 2.0)]


def test_stalls_are_few_however_often_groq_is_silent() -> None:
    pace = Pace(arrived=0.0, asked=0.0, admitted=0.0)
    for second in range(1, 100):
        pace.add(WORDS, float(second * second), waited_s=float(second))
    assert len(pace.stalls) == 3
    assert pace.longest_silence_s == 99


def test_what_the_client_takes_its_time_for_is_backpressure() -> None:
    pace = Pace(arrived=100.0, asked=100.0, admitted=100.0)
    pace.add(WORDS, 101.0, waited_s=1.0)
    pace.resume(103.5)
    pace.add(Block(), 104.0, waited_s=0.5)
    pace.resume(110.0)
    assert pace.backpressure_s == 2.5
    assert (pace.chunks, pace.deltas, pace.bytes) == (2, 2, 5)


def test_the_time_per_token_is_between_the_first_and_the_last() -> None:
    pace = Pace(arrived=100.0, asked=100.0, admitted=100.0)
    pace.add(WORDS, 101.0, waited_s=1.0)
    assert pace.per_output_token_s(2) is None
    pace.add(WORDS, 102.0, waited_s=1.0)
    assert pace.per_output_token_s(5) == 0.25
    assert pace.per_output_token_s(1) is None
