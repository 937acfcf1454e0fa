"""Blocks that are added to one another."""

import json

from app.core.upstream import UpstreamBroken
from app.services.chat.block import Block, error_event
from app.services.chat.usage import Usage

FIRST = Block(
    data=b"a",
    text=["a"],
    reasoning=["A"],
    refusal=["no"],
    tool_calls=[1],
    other_bytes=1,
    chunks=1,
    progress_chunks=2,
    choices=2,
    finished_choices={0},
    model="m1",
    finish_reason="length",
    usage=Usage(1, 1),
    upstream_response_id="chatcmpl-1",
    upstream_request_id="req_1",
    ended=True,
    early_stop="busy",
    unexpected={"id"},
    error=UpstreamBroken("first"),
)
LATER = Block(
    data=b"b",
    text=["b"],
    reasoning=["B"],
    refusal=["way"],
    tool_calls=[2],
    other_bytes=10,
    chunks=10,
    progress_chunks=20,
    choices=1,
    finished_choices={1},
    model="m2",
    finish_reason="stop",
    usage=Usage(2, 2),
    upstream_response_id="chatcmpl-2",
    upstream_request_id="req_2",
    early_stop="full",
    unexpected={"index"},
    error=UpstreamBroken("later"),
)


def test_an_appended_block_adds_to_counts_and_replaces_facts() -> None:
    block = Block()
    block.append(FIRST)
    assert block == FIRST
    block.append(Block(ended=True))
    assert block == FIRST
    block.append(LATER)
    assert (block.data, block.text, block.reasoning) == (b"ab", ["a", "b"], ["A", "B"])
    assert (block.refusal, block.tool_calls) == (["no", "way"], [1, 2])
    assert (block.other_bytes, block.chunks, block.progress_chunks, block.choices) == (11, 11, 22, 2)
    assert (block.finished_choices, block.unexpected) == ({0, 1}, {"id", "index"})
    assert (block.model, block.finish_reason, block.usage) == ("m2", "stop", Usage(2, 2))
    assert (block.early_stop, block.error, block.ended) == ("full", LATER.error, False)
    assert (block.upstream_response_id, block.upstream_request_id) == ("chatcmpl-1", "req_2")


def test_the_size_of_an_answer_is_that_of_its_json() -> None:
    assert Block(text=['"', "\n"], reasoning=["xyz"], other_bytes=100).answer_bytes == 4 + 3 + 100
    assert Block(text=["a\ud800"]).answer_bytes == 12


def test_an_error_is_a_named_event() -> None:
    name, data, *rest = error_event(UpstreamBroken("broke off")).split(b"\n")
    assert (name, rest) == (b"event: error", [b"", b""])
    assert json.loads(data.removeprefix(b"data: ")) == UpstreamBroken("broke off").envelope()
