"""Chunks become the object that Groq would have sent: however an answer is cut, and whatever stands in it."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.chat.completion import Completion
from app.groq.wire import Decoder
from app.simulator.answers import compose
from app.simulator.models import MODELS
from app.simulator.wire import ChunkWriter, completion
from tests.fuzz.events import CUTS, STREAMS, cut

USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8, "queue_time": 0.0123}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"properties": {"city": {}}}}}
HEAD = {"id": "chatcmpl-1", "created": 1700000000, "model": "m", "system_fingerprint": "fp_1"}

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_LOGPROB = st.fixed_dictionaries({"token": _TEXT, "logprob": st.floats(-20, 0), "top_logprobs": st.just([])})
_CALL = st.fixed_dictionaries(
    {
        "id": st.uuids().map(lambda value: f"call_{value.hex}"),
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": st.just("weather"), "arguments": _TEXT.filter(bool)}),
    }
)
_MESSAGE = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": _TEXT.filter(bool)},
    optional={
        "reasoning": _TEXT.filter(bool),
        "refusal": _TEXT.filter(bool),
        "tool_calls": st.lists(_CALL, min_size=1, max_size=3),
    },
)
_CHOICE = st.fixed_dictionaries(
    {
        "message": _MESSAGE,
        "logprobs": st.one_of(
            st.none(), st.lists(_LOGPROB, min_size=1, max_size=6).map(lambda each: {"content": each})
        ),
        "finish_reason": st.sampled_from(["stop", "length", "tool_calls"]),
    }
)
CHOICES = st.lists(_CHOICE, min_size=1, max_size=3).map(
    lambda choices: [{"index": index, **choice} for index, choice in enumerate(choices)]
)


def _pieces(text: str, draw: st.DrawFn) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def _deltas(choice: dict[str, Any], draw: st.DrawFn) -> list[dict[str, Any]]:
    """One choice as the pieces in which a stream brings it, in an order that leaves each text's own alone."""
    message = choice["message"]
    pieces: list[dict[str, Any]] = [{"delta": {"role": "assistant", "content": ""}}]
    for name in [name for name in ("reasoning", "content", "refusal") if name in message]:
        pieces += [{"delta": {name: piece}} for piece in _pieces(message[name], draw)]
    for index, call in enumerate(message.get("tool_calls", [])):
        first, *rest = _pieces(call["function"]["arguments"], draw)
        whole = {**call, "index": index, "function": {"name": call["function"]["name"], "arguments": first}}
        pieces.append({"delta": {"tool_calls": [whole]}})
        pieces += [{"delta": {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}} for piece in rest]
    for entry in (choice["logprobs"] or {}).get("content", []):
        pieces.append({"delta": {}, "logprobs": {"content": [entry]}})
    return [*pieces, {"delta": {}, "finish_reason": choice["finish_reason"]}]


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[bytes], list[dict[str, Any]]]:
    """An answer's choices, and blocks of events that bring them: the choices in turns, the texts in pieces."""
    choices = draw(CHOICES)
    queues = [_deltas(choice, draw) for choice in choices]
    chunks = []
    while waiting := [index for index, queue in enumerate(queues) if queue]:
        index = draw(st.sampled_from(waiting))
        piece = {"index": index, "logprobs": None, "finish_reason": None} | queues[index].pop(0)
        chunks.append(HEAD | {"object": "chat.completion.chunk", "choices": [piece]})
    chunks.append(HEAD | {"choices": [], "usage": USAGE, "service_tier": "on_demand"})
    line_end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    comment = draw(st.sampled_from(["", f": waiting{line_end}{line_end}"]))
    events = [f"{comment}data: {json.dumps(chunk)}{line_end}{line_end}".encode() for chunk in chunks]
    cuts = sorted(draw(st.lists(st.integers(0, len(events)), max_size=5)))
    blocks = [b"".join(events[start:end]) for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True)]
    return [*blocks, b"data: [DONE]\n\n"], choices


def assembled(blocks: Sequence[bytes]) -> Any:
    answer = Completion()
    for block in blocks:
        answer.add(block)
    return json.loads(answer.as_json())


@given(streams())
def test_however_a_stream_is_cut_its_answer_is_the_same(stream: tuple[list[bytes], list[dict[str, Any]]]) -> None:
    blocks, choices = stream
    told = {"object": "chat.completion", "usage": USAGE, "service_tier": "on_demand"}
    assert assembled(blocks) == {**HEAD, **told, "choices": choices}


@given(STREAMS, CUTS)
def test_whatever_is_relayed_can_be_put_together(stream: bytes, sizes: list[int]) -> None:
    """The decoder lets much pass that is no answer of Groq's. What cannot be read is said to be so, in one way."""
    decoder = Decoder(max_event_bytes=100_000)
    blocks = [decoder.feed(piece) for piece in cut(stream, sizes)]
    with suppress(ValueError):
        told = assembled([block.data for block in blocks])
        assert (told["object"], type(told["choices"])) == ("chat.completion", list)


def simulated(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same answer in both of Groq's ways."""
    body = {"messages": [{"role": "user", "content": "Hi"}], "seed": 7} | body
    model = MODELS[str(body.get("model", "openai/gpt-oss-20b"))]
    answer = compose(body, model, 0)
    writer = ChunkWriter(model, request_id="req_1", include_usage=True)
    events = [writer.opening(7) or b"", *writer.tokens(answer), *writer.final(answer)]
    return assembled(events), completion(answer, model, request_id="req_1")


def test_it_is_what_groq_sends_that_does_not_stream() -> None:
    """But for an id of its own; `usage_breakdown` is never streamed, and a seed is told in streams alone."""
    for body in ({}, {"model": "openai/gpt-oss-120b"}, {"tools": [TOOL, TOOL]}, {"max_tokens": 3}):
        ours, groqs = simulated(body)
        assert ours["x_groq"].pop("seed") == 7
        assert ours["choices"][0]["message"].pop("content") == groqs["choices"][0]["message"].pop("content", None)
        assert abs(ours.pop("created") - groqs.pop("created")) <= 1
        del ours["id"], groqs["id"], groqs["usage_breakdown"]
        assert ours == groqs


def test_an_answer_is_known_by_the_id_of_its_first_chunk() -> None:
    """groq/compound changes it from chunk to chunk, and opens with no role."""
    ours, groqs = simulated({"model": "groq/compound"})
    assert ours["id"] not in {"stub", ""}
    assert ours["choices"] == groqs["choices"]


def test_it_has_the_id_and_the_time_of_its_first_chunk_and_otherwise_the_last_word() -> None:
    """`created` advances within a stream, and a model's full name may come late."""
    chunks = [{"id": "a", "created": 1, "model": None, "x": 1}, {"id": "b", "created": 2, "model": "m", "x": None}]
    told = assembled([b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks])
    assert [told[name] for name in ("id", "created", "model", "x")] == ["a", 1, "m", 1]


def test_usage_that_is_told_beside_the_answer_alone_is_its_usage() -> None:
    chunk = {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}], "x_groq": {"id": "r", "usage": USAGE}}
    told = assembled([b"data: %s\n\n" % json.dumps(chunk).encode()])
    assert (told["usage"], told["x_groq"]) == (USAGE, {"id": "r"})
    assert told["choices"][0]["message"] == {"role": "assistant", "content": "Hi"}


def test_the_halves_of_a_surrogate_pair_become_one_character_again() -> None:
    halves = (b'data: {"choices":[{"delta":{"content":"\\u%s"}}]}\n\n' % half for half in (b"d83d", b"de80"))
    assert assembled(list(halves))["choices"][0]["message"]["content"] == "🚀"


def test_a_tool_keeps_its_name_when_a_later_chunk_says_an_empty_one() -> None:
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{"}}
    later = {"index": 0, "id": "", "type": "", "function": {"name": "", "arguments": "}"}}
    chunks = [{"model": "m", "choices": [{"delta": {"tool_calls": [call]}}]} for call in (first, later)]
    told = assembled([b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in [*chunks, {"model": ""}]])
    whole = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    assert told["choices"][0]["message"]["tool_calls"] == [whole]
    assert told["model"] == "m"
