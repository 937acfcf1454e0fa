"""The decoder, on Groq's own shapes, split anywhere."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.chat.block import Block
from app.services.chat.usage import Usage
from app.services.groq import sse_decoder
from app.services.groq.chunks import add_chunk, parse_chunk
from app.services.groq.sse_decoder import SseDecoder
from tests.services.groq.shapes import CALL, DONE, STREAM, chunk, decode

USED = Usage(
    prompt_tokens=9,
    completion_tokens=4,
    reasoning_tokens=1,
    cached_tokens=8,
    queue_s=0.02,
    prompt_s=0.001,
    completion_s=0.005,
)


def assert_is_the_stream(block: Block, data: bytes = STREAM) -> None:
    assert block.data == data
    assert "".join(block.text) == "naïve 東京🚀"
    assert block.reasoning == ["Hm"]
    assert block.tool_calls == [CALL]
    assert block.progress_chunks == 4
    assert block.model == "m"
    assert block.finish_reason == "stop"
    assert block.upstream_request_id == "req_1"
    assert block.upstream_response_id == "chatcmpl-1"
    assert block.usage == USED
    assert block.ended
    assert block.error is None


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_a_stream_split_at_any_byte_has_the_same_meaning(line_end: bytes) -> None:
    data = STREAM.replace(b"\n", line_end)
    whole = data + DONE.replace(b"\n", line_end)
    for at in range(len(whole) + 1):
        block, _ = decode(whole[:at], whole[at:])
        assert "".join(block.text) == "naïve 東京🚀"
        assert_is_the_stream(block, block.data)
        assert block.data.rstrip(b"\r\n") == data.rstrip(b"\r\n")


@given(st.lists(st.integers(1, 400), max_size=40), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_a_stream_split_anywhere_is_relayed_in_order(sizes: list[int], line_end: bytes) -> None:
    whole, pieces = (STREAM + DONE).replace(b"\n", line_end), []
    for size in sizes:
        pieces.append(whole[:size])
        whole = whole[size:]
    block, _ = decode(*pieces, whole)
    assert_is_the_stream(block, block.data)


@given(st.lists(st.integers(1, 400), max_size=40))
def test_relayed_bytes_end_between_two_events(sizes: list[int]) -> None:
    """So that a comment, an error or the receipt can follow at any time."""
    whole, pieces = STREAM, []
    for size in sizes:
        pieces.append(whole[:size])
        whole = whole[size:]
    _, relayed = decode(*pieces, whole)
    assert all(data.endswith(b"\n\n") for data in relayed if data)
    assert b"".join(relayed) == STREAM


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_no_bytes_make_the_decoder_raise(pieces: list[bytes]) -> None:
    decode(*pieces)


SCRAPS = [b"data: ", b"{", b"}", b"\n", b"\r", b"[DONE]", b"event: error", b'"error":', b"1", b":", b","]


@given(st.lists(st.sampled_from(SCRAPS)))
def test_no_parts_of_events_make_the_decoder_raise(pieces: list[bytes]) -> None:
    decode(b"".join(pieces))
    decode(*pieces)


def test_groq_s_done_is_not_relayed() -> None:
    block, _ = decode(STREAM + DONE, end=False)
    assert_is_the_stream(block)


def test_an_end_without_done_is_an_end() -> None:
    block, _ = decode(STREAM)
    assert_is_the_stream(block)


def test_a_last_event_that_lacks_its_blank_line_is_read_and_completed() -> None:
    block, relayed = decode(chunk({}, "stop")[:-1])
    assert block.finish_reason == "stop"
    assert block.data == chunk({}, "stop")
    assert relayed[-1].endswith(b"\n\n")


def test_the_empty_first_chunk_is_no_token() -> None:
    assert decode(chunk({"role": "assistant", "content": ""}))[0].progress_chunks == 0


@pytest.mark.parametrize(
    "content", [{}, {"choices": []}, {"choices": None}, {"choices": [{}]}, {"choices": [{"delta": None}]}]
)
def test_chunks_without_a_choice_or_a_delta_are_relayed(content: dict[str, Any]) -> None:
    data = f"data: {json.dumps(content)}\n\n".encode()
    block, _ = decode(data)
    assert block.error is None
    assert block.data == data


def test_half_a_surrogate_pair_is_text_like_any_other() -> None:
    block, _ = decode(b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n')
    assert block.text == ["\ud83d"]
    assert block.error is None


def test_data_may_span_lines_and_lack_the_space() -> None:
    block, _ = decode(b'id: 7\ndata:{"choices":\ndata:[{"delta":{"content":"x"}}]}\nretry: 10\n\n')
    assert block.text == ["x"]


def test_a_long_event_in_small_pieces_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A promise about work, not about time: the search never starts again from the beginning of the event."""
    searched: list[int] = []
    boundaries = sse_decoder._boundaries

    def recorded(data: bytes) -> Iterator[tuple[int, int]]:
        searched.append(len(data))
        return boundaries(data)

    monkeypatch.setattr(sse_decoder, "_boundaries", recorded)
    event = b"data: " + json.dumps({"x": "y" * 50_000}).encode() + b"\n\n"
    decoder = SseDecoder(max_event_bytes=2**20)
    blocks = [decoder.feed(event[at : at + 1]) for at in range(len(event))]
    assert b"".join(block.data for block in blocks) == event
    assert sum(searched) < 6 * len(event)


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"choices":[],"usage":{"prompt_tokens":null,"completion_tokens":3}}\n\n',
        b'data: {"choices":[],"x_groq":{"id":"r","error":{"code":1}}}\n\n',
    ],
)
def test_fields_of_another_shape_do_not_break_an_answer(event: bytes) -> None:
    assert decode(event)[0].error is None


def test_what_follows_done_is_not_read() -> None:
    block, _ = decode(STREAM + DONE + b"data: {nonsense\n\n")
    assert_is_the_stream(block)


VALUES = st.none() | st.text(max_size=3) | st.sampled_from(["assistant", "final", "other", 1, [], {"a": 1}])
DELTAS = st.dictionaries(st.sampled_from(["role", "content", "reasoning", "channel", "refusal"]), VALUES, max_size=3)
CHOICES = st.fixed_dictionaries(
    {"delta": DELTAS},
    optional={"index": st.sampled_from([0, 0.0, 1, None]), "finish_reason": st.sampled_from([None, "stop"])},
)
CHUNKS = st.fixed_dictionaries(
    {"id": st.sampled_from(["c", ""]), "model": st.sampled_from(["m", ""]), "choices": st.lists(CHOICES, max_size=2)},
    optional={
        "usage": st.none(),
        "error": st.sampled_from([None, False]),
        "x_groq": st.sampled_from([None, {"id": "r"}]),
    },
)


@given(st.lists(CHUNKS, min_size=1, max_size=4))
def test_events_decoded_together_have_the_facts_of_events_decoded_one_by_one(chunks: list[dict[str, Any]]) -> None:
    data = [json.dumps(each).encode() for each in chunks]
    together = SseDecoder(max_event_bytes=2**20).feed(b"".join(b"data: " + each + b"\n\n" for each in data))
    one_by_one = Block()
    for each in data:
        parsed = parse_chunk(each)
        assert parsed is not None
        add_chunk(parsed, one_by_one)
    one_by_one.data = together.data
    assert together == one_by_one
