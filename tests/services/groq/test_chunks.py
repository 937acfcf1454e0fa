"""The fields of a chunk: a fact of an unexpected type is unknown, and the stream goes on."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.record import ANSWER_FIELDS
from app.core.upstream import UpstreamBroken
from app.services.chat.block import Block
from app.services.groq.chunks import MAX_CHOICES
from tests.services.groq.shapes import USAGE, chunk, decode

FIELDS = {
    "id": ("id",),
    "model": ("model",),
    "choices": ("choices",),
    "choice": ("choices", 0),
    "index": ("choices", 0, "index"),
    "delta": ("choices", 0, "delta"),
    "message": ("choices", 0, "message"),
    "finish_reason": ("choices", 0, "finish_reason"),
    "content": ("choices", 0, "delta", "content"),
    "reasoning": ("choices", 0, "delta", "reasoning"),
    "refusal": ("choices", 0, "delta", "refusal"),
    "tool_calls": ("choices", 0, "delta", "tool_calls"),
    "usage": ("usage",),
    "prompt_tokens": ("usage", "prompt_tokens"),
    "completion_tokens": ("usage", "completion_tokens"),
    "prompt_tokens_details": ("usage", "prompt_tokens_details"),
    "cached_tokens": ("usage", "prompt_tokens_details", "cached_tokens"),
    "completion_tokens_details": ("usage", "completion_tokens_details"),
    "reasoning_tokens": ("usage", "completion_tokens_details", "reasoning_tokens"),
    "queue_time": ("usage", "queue_time"),
    "prompt_time": ("usage", "prompt_time"),
    "completion_time": ("usage", "completion_time"),
    "x_groq": ("x_groq",),
    "x_groq.id": ("x_groq", "id"),
    "x_groq.usage": ("x_groq", "usage"),
    "x_groq.error": ("x_groq", "error"),
}
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@pytest.mark.parametrize("error", [5, True])
def test_an_error_that_is_no_object_and_no_text_does_not_end_the_stream(error: Any) -> None:
    block, _ = decode(chunk({"content": "x"}, error=error))
    assert (block.error, block.unexpected, block.text) == (None, {"error"}, ["x"])


def with_field(path: tuple[Any, ...], value: Any) -> bytes:
    """A last chunk with all fields, one of which has this value."""
    event = chunk(
        {"content": "x", "tool_calls": [{"id": "1"}]}, "stop", usage=USAGE, x_groq={"id": "r", "usage": USAGE}
    )
    content: Any = json.loads(event[6:])
    place = content
    for step in path[:-1]:
        place = place[step] if not isinstance(step, str) or step in place else place.setdefault(step, {})
    place[path[-1]] = value
    return b"data: " + json.dumps(content).encode() + b"\n\n"


@given(field=st.sampled_from(sorted(FIELDS)), value=ANYTHING)
def test_no_type_of_any_field_ends_a_stream(field: str, value: Any) -> None:
    event = with_field(FIELDS[field], value)
    block, relayed = decode(event, chunk({}, "stop"))
    too_many = isinstance(value, int) and not isinstance(value, bool) and MAX_CHOICES <= value < 2**31
    if field == "index" and (too_many or (isinstance(value, float) and MAX_CHOICES <= value < 2**31)):
        assert isinstance(block.error, UpstreamBroken)
        return
    assert block.error is None
    assert relayed[0] == event
    assert block.unexpected <= set(ANSWER_FIELDS)
    assert block.finished_choices


@pytest.mark.parametrize(
    ("field", "value", "unexpected"),
    [
        ("prompt_tokens", 12.0, set()),
        ("prompt_tokens", 3.5, {"prompt_tokens"}),
        ("prompt_tokens", "3", {"prompt_tokens"}),
        ("prompt_tokens", True, {"prompt_tokens"}),
        ("completion_tokens", -1, {"completion_tokens"}),
        ("completion_tokens", 2**63 - 1, {"completion_tokens"}),
        ("completion_tokens", 2**200, {"completion_tokens"}),
        ("cached_tokens", 9, set()),  # of 9
        ("cached_tokens", 10, {"cached_tokens"}),
        ("reasoning_tokens", "1", {"reasoning_tokens"}),
        ("prompt_tokens_details", [1], {"prompt_tokens_details"}),
        ("completion_tokens_details", "none", {"completion_tokens_details"}),
        ("queue_time", -0.5, {"queue_time"}),
        ("prompt_time", "0.5", {"prompt_time"}),
        ("completion_time", 10**7, {"completion_time"}),
        ("usage", [], set()),
        ("usage", [1], {"usage"}),
        ("id", 123, {"id"}),
        ("content", [{"type": "text", "text": "x"}], {"content"}),
        ("content", 5, {"content"}),
        ("tool_calls", "f()", {"tool_calls"}),
        ("tool_calls", [[]] * (MAX_CHOICES + 1), {"tool_calls"}),
        ("finish_reason", {"why": "stop"}, {"finish_reason"}),
        ("choices", "x", {"choices"}),
        ("choice", "x", {"choices"}),
        ("index", "0", {"index"}),
        ("index", 2**31 + 1, {"index"}),
        ("delta", "x", {"delta"}),
        ("model", 5, {"model"}),
        ("reasoning", 5, {"reasoning"}),
        ("refusal", 5, {"refusal"}),
        ("x_groq.id", 5, {"id"}),
        ("x_groq", "x", {"x_groq"}),
    ],
)
def test_invalid_fields_are_listed(field: str, value: Any, unexpected: set[str]) -> None:
    block, _ = decode(with_field(FIELDS[field], value))
    assert block.error is None
    assert block.unexpected == unexpected


def test_an_invalid_count_leaves_the_usage_unknown() -> None:
    for count in (-1, 2**63 - 1, "5", 1.5):
        assert decode(with_field(FIELDS["completion_tokens"], count))[0].usage is None
    usage = decode(with_field(FIELDS["completion_tokens"], 4.0))[0].usage
    assert usage
    assert (usage.completion_tokens, type(usage.completion_tokens)) == (4, int)


@pytest.mark.parametrize("data", [b"5", b'"text"', b"[1]", b"null", b"[" * 100_000 + b"]" * 100_000])
def test_json_that_is_no_chunk_is_relayed(data: bytes) -> None:
    event = b"data: " + data + b"\n\n"
    block, relayed = decode(event, chunk({"content": "x"}, "stop"), max_event_bytes=10**6)
    assert (block.error, block.unexpected, relayed[0]) == (None, {"event"}, event)


def test_a_tool_call_too_deep_to_store_is_relayed_and_not_stored() -> None:
    deep: Any = "x"
    for _ in range(300):
        deep = [deep]
    block, _ = decode(chunk({"tool_calls": [{"arguments": deep}]}), chunk({}, "tool_calls"))
    assert (block.error, block.unexpected, block.tool_calls) == (None, {"tool_calls"}, [])


@pytest.mark.parametrize(
    "event",
    [
        b"data: %s\n\n" % json.dumps({"choices": [{"index": 0, "delta": {}}] * 70_000}).encode(),
        b"data: %s\n\n" % json.dumps({"choices": [{"index": 1000, "delta": {"content": "x"}}]}).encode(),
    ],
)
def test_more_choices_than_any_request_may_ask_for_end_the_stream(event: bytes) -> None:
    block, _ = decode(event, max_event_bytes=10**7)
    assert isinstance(block.error, UpstreamBroken)
    assert str(MAX_CHOICES) in block.error.message


@pytest.mark.parametrize(
    ("delta", "least"),
    [
        ({"content": "x" * 1000}, 1000),
        ({"reasoning": "x" * 1000, "channel": "analysis"}, 1000),
        ({"reasoning_content": "x" * 1000}, 1000),
        ({"refusal": "x" * 1000}, 1000),
        ({"tool_calls": [{"function": {"arguments": "x" * 1000}}]}, 1000),
        ({"executed_tools": [{"output": "x" * 1000}]}, 1000),
        ({"role": "x" * 1000}, 1000),
        ({"channel": "x" * 1000}, 1000),
        ({"new": {"x" * 500: "x" * 500}}, 1000),
    ],
)
def test_every_value_of_a_delta_counts_as_answer(delta: dict[str, Any], least: int) -> None:
    block = Block()
    for pieces in decode(chunk(delta))[:1]:
        block = pieces
    assert least <= block.answer_bytes <= least + 100


def test_role_and_channel_do_not_count_as_answer() -> None:
    block, _ = decode(chunk({"role": "assistant", "content": ""}), chunk({"reasoning": "x", "channel": "analysis"}))
    assert (block.answer_bytes, block.progress_chunks) == (1, 1)
