"""The times of one chat, with given moments."""

import pytest

from app.core.upstream import Attempt, UpstreamUnavailable
from app.services.chat.block import Block
from app.services.chat.timing import ChatTiming, milliseconds

OPENING = Block(data=b"opening", chunks=1)
WORDS = Block(data=b"words", chunks=2, progress_chunks=2)


def test_overhead_is_the_time_to_first_token_without_provider_and_queue() -> None:
    timing = ChatTiming(arrived=100.0, requested=100.5, admitted=101.0)
    timing.add_attempt(Attempt(model="m", started=101.25, ended=102.0, error=UpstreamUnavailable("busy")))
    timing.add_attempt(Attempt(model="m", started=104.0, ended=105.0))
    timing.add_block(OPENING, 105.5, waited_s=0.5)
    timing.on_block_accepted(105.75)
    timing.add_block(WORDS, 106.25, waited_s=0.25)
    assert timing.first_chunk_s == 5.5
    assert timing.first_token_s == 6.25
    assert timing.queue_s == 0.5
    assert timing.retry_wait_s == 2.0
    # 0.5 before admission was requested, 0.25 before the first attempt, 0.25 to send the opening and 0.25 to read on
    assert timing.overhead_s() == pytest.approx(1.25)


def test_a_chat_without_a_token_has_no_overhead() -> None:
    timing = ChatTiming(arrived=100.0, requested=100.0, admitted=100.0)
    timing.add_block(OPENING, 101.0, waited_s=1.0)
    assert (timing.first_token_s, timing.overhead_s(), timing.time_per_output_token_s(5)) == (None, None, None)


def test_silence_is_measured_from_the_first_chunk_on() -> None:
    timing = ChatTiming(arrived=100.0, requested=100.0, admitted=100.0)
    timing.add_block(OPENING, 103.0, waited_s=3.0)
    timing.add_block(WORDS, 105.0, waited_s=2.0)
    timing.add_block(WORDS, 106.0, waited_s=1.0)
    assert timing.longest_silence_s == 2.0
    assert timing.stalls == [(3.0, 2.0), (5.0, 1.0)]


def test_the_number_of_stalls_is_bounded() -> None:
    timing = ChatTiming(arrived=0.0, requested=0.0, admitted=0.0)
    for second in range(1, 100):
        timing.add_block(WORDS, float(second * second), waited_s=float(second))
    assert len(timing.stalls) == 3
    assert timing.longest_silence_s == 99


def test_backpressure_is_the_time_that_the_client_takes() -> None:
    timing = ChatTiming(arrived=100.0, requested=100.0, admitted=100.0)
    timing.add_block(WORDS, 101.0, waited_s=1.0)
    timing.on_block_accepted(103.5)
    timing.add_block(Block(), 104.0, waited_s=0.5)
    timing.on_block_accepted(110.0)
    assert timing.backpressure_s == 2.5
    assert timing.bytes == 5


def test_time_per_output_token_is_measured_between_first_and_last() -> None:
    timing = ChatTiming(arrived=100.0, requested=100.0, admitted=100.0)
    timing.add_block(WORDS, 101.0, waited_s=1.0)
    assert timing.time_per_output_token_s(2) is None
    timing.add_block(WORDS, 102.0, waited_s=1.0)
    assert timing.time_per_output_token_s(5) == 0.25
    assert timing.time_per_output_token_s(1) is None


def test_a_silence_that_ends_with_the_answer_is_a_stall() -> None:
    timing = ChatTiming(arrived=100.0, requested=100.0, admitted=100.0)
    timing.add_block(WORDS, 101.0, waited_s=1.0)
    timing.add_block(Block(data=b": comment"), 102.0, waited_s=1.0)
    assert (timing.silence_s, timing.stalls) == (1.0, [])
    timing.add_block(Block(ended=True), 102.5, waited_s=0.5)
    assert (timing.silence_s, timing.longest_silence_s, timing.stalls) == (0.0, 1.5, [(1.0, 1.5)])


def test_a_silence_under_a_second_is_no_stall() -> None:
    timing = ChatTiming(arrived=100.0, requested=100.0, admitted=100.0)
    timing.add_block(WORDS, 101.0, waited_s=1.0)
    timing.add_block(WORDS, 101.75, waited_s=0.75)
    assert (timing.longest_silence_s, timing.stalls) == (0.75, [])
    timing.add_block(WORDS, 102.75, waited_s=1.0)
    assert timing.stalls == [(1.75, 1.0)]


def test_the_waits_between_all_attempts_are_added_up() -> None:
    timing = ChatTiming(arrived=100.0, requested=100.0, admitted=100.0)
    for started in (100.0, 101.5, 104.0):
        timing.add_attempt(Attempt(model="m", started=started, ended=started + 1))
    assert timing.retry_wait_s == 2.0
    assert [each["started_ms"] for each in timing.attempt_log] == [0.0, 1500.0, 4000.0]


def test_overhead_is_never_negative() -> None:
    timing = ChatTiming(arrived=100.0, requested=100.0, admitted=100.0)
    timing.add_block(WORDS, 101.0, waited_s=2.0)
    assert timing.overhead_s() == 0.0


def test_backpressure_of_several_blocks_is_added_up() -> None:
    timing = ChatTiming(arrived=100.0, requested=100.0, admitted=100.0)
    timing.on_block_accepted(100.5)
    for at in (101.0, 102.0):
        timing.add_block(WORDS, at, waited_s=0.5)
        timing.on_block_accepted(at + 0.25)
        timing.on_block_accepted(at + 0.5)
    assert timing.backpressure_s == 0.5
    assert timing.bytes == 10


def test_milliseconds_have_microsecond_precision() -> None:
    assert milliseconds(1.23456789) == 1234.568
    assert milliseconds(None) is None
