"""The limits of a chunk, and what several chunks of one read add up to."""

import json
from typing import Any

import pytest

from app.core.upstream import UpstreamBroken
from app.services.chat.usage import Usage
from app.services.groq.chunks import MAX_CHOICES
from app.services.groq.sse_decoder import SseDecoder
from tests.services.groq.shapes import chunk, decode


@pytest.mark.parametrize("name", ["tool_calls", "refusal", "new"])
def test_a_value_with_half_a_surrogate_pair_counts_as_answer(name: str) -> None:
    text = "PAIR" + "x" * 1000
    event = chunk({name: text if name == "refusal" else [{"arguments": text}]}).replace(b"PAIR", b"\\ud83d")
    block, _ = decode(event)
    assert (block.error, block.progress_chunks) == (None, 1)
    assert 1000 <= block.answer_bytes <= 1100


def test_the_most_choices_and_tool_calls_are_accepted() -> None:
    calls = [{"id": f"{number}"} for number in range(MAX_CHOICES)]
    choices = [
        {"index": number, "delta": {"tool_calls": calls if number == 0 else []}, "finish_reason": "stop"}
        for number in range(MAX_CHOICES)
    ]
    block = SseDecoder(max_event_bytes=10**6).feed(b"data: " + json.dumps({"choices": choices}).encode() + b"\n\n")
    assert (block.error, block.unexpected, block.choices) == (None, set(), MAX_CHOICES)
    assert (block.tool_calls, block.finished_choices, block.progress_chunks) == (calls, set(range(MAX_CHOICES)), 1)


@pytest.mark.parametrize("index", [MAX_CHOICES, MAX_CHOICES + 1])
def test_a_choice_beyond_the_limit_ends_the_stream(index: int) -> None:
    block, _ = decode(b'data: {"choices":[{"index":%d,"delta":{}}]}\n\n' % index)
    assert isinstance(block.error, UpstreamBroken)


def test_one_choice_more_than_the_limit_ends_the_stream() -> None:
    choices = [{"index": 0, "delta": {}}] * (MAX_CHOICES + 1)
    block, _ = decode(b"data: " + json.dumps({"choices": choices}).encode() + b"\n\n")
    assert isinstance(block.error, UpstreamBroken)


@pytest.mark.parametrize(("levels", "stored"), [(61, True), (62, False)])
def test_tool_calls_are_stored_up_to_the_depth_that_databases_accept(levels: int, *, stored: bool) -> None:
    """The list, its call and their values have 64 levels at most."""
    deep: Any = 1
    for _ in range(levels):
        deep = [deep]
    call = {"arguments": deep}
    block, _ = decode(chunk({"tool_calls": [call]}))
    assert block.tool_calls == ([call] if stored else [])
    assert block.unexpected == (set() if stored else {"tool_calls"})


def test_facts_of_a_later_chunk_replace_those_of_an_earlier_one() -> None:
    events = [
        b'data: {"id":"a","model":"m1","choices":[],"x_groq":{"id":"r1","error":"busy"}}\n\n',
        b'data: {"id":"b","model":"m2","choices":[],"x_groq":{"id":"r2"}}\n\n',
        b'data: {"choices":[],"x_groq":{"usage":{"prompt_tokens":1,"completion_tokens":2}}}\n\n',
        b'data: {"choices":[],"x_groq":{}}\n\n',
    ]
    block = SseDecoder(max_event_bytes=10**6).feed(b"".join(events))
    assert (block.upstream_response_id, block.model, block.upstream_request_id) == ("a", "m2", "r2")
    assert (block.early_stop, block.usage, block.chunks) == ("busy", Usage(1, 2), 4)


def test_events_that_are_no_chunks_count_as_answer() -> None:
    block = SseDecoder(max_event_bytes=10**6).feed(b"data: [1]\n\ndata: [22]\n\n")
    assert (block.other_bytes, block.chunks) == (len(b"data: [1]data: [22]"), 2)
