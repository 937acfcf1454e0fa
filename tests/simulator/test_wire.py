"""The simulator speaks as Groq does."""

import json
from typing import Any

import httpx2
import pytest

from tests.support.service import SimulatedGroq

AUTH = {"authorization": "Bearer any"}
HI = {"model": "openai/gpt-oss-20b", "messages": [{"role": "user", "content": "Hi"}]}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"properties": {"city": {"type": "string"}}}},
}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {}}}


def post(groq: SimulatedGroq, headers: dict[str, str] | None = None, **body: Any) -> httpx2.Response:
    return groq.http.post(f"{groq.url}/chat/completions", json=HI | body, headers=headers or AUTH)


def stream(groq: SimulatedGroq, **body: Any) -> list[dict[str, Any]]:
    response = post(groq, stream=True, **body)
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def read(groq: SimulatedGroq, *, until: bytes | None = None, **body: Any) -> tuple[bytes, bool]:
    """What comes until the words are there, or the connection breaks or says nothing: and whether it ended well."""
    received, url = b"", f"{groq.url}/chat/completions"
    try:
        with groq.http.stream("POST", url, json=HI | body, headers=AUTH, timeout=3) as response:
            for piece in response.iter_raw():
                received += piece
                if until and until in received:
                    return received, False
    except (httpx2.ReadTimeout, httpx2.RemoteProtocolError):
        return received, False
    return received, True


def deltas(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


def test_a_stream_opens_with_a_role_and_closes_with_usage_in_both_places(groq: SimulatedGroq) -> None:
    first, *middle, last = stream(groq)
    assert set(first) == {"id", "object", "created", "model", "system_fingerprint", "choices", "x_groq"}
    assert first["object"] == "chat.completion.chunk"
    assert first["choices"] == [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    ]
    assert first["x_groq"]["id"].startswith("req_")
    assert all("x_groq" not in chunk and "usage" not in chunk for chunk in middle)
    assert len({chunk["id"] for chunk in (first, *middle, last)}) == 1
    assert last["choices"][0]["delta"] == {}
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["x_groq"]["usage"] == last["usage"]
    usage = last["usage"]
    assert usage["completion_tokens"] == len(middle)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["total_time"] == pytest.approx(usage["prompt_time"] + usage["completion_time"], abs=1e-6)


def test_usage_on_its_own_only_where_it_is_asked_for(groq: SimulatedGroq) -> None:
    *_, last = stream(groq, stream_options={"include_usage": True})
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] > 0
    assert last["service_tier"] == "on_demand"


QWEN = {"model": "qwen/qwen3.6-27b"}


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ({}, {"role", "content", "reasoning", "channel"}),
        ({"include_reasoning": False}, {"role", "content"}),
        ({"reasoning_format": "hidden"}, {"role", "content"}),
        (QWEN, {"role", "content"}),
        (QWEN | {"reasoning_format": "raw"}, {"role", "content"}),
        (QWEN | {"reasoning_format": "parsed"}, {"role", "content", "reasoning"}),
        (QWEN | {"include_reasoning": True}, {"role", "content", "reasoning"}),
        (QWEN | {"reasoning_format": "hidden"}, {"role", "content"}),
        (QWEN | {"reasoning_effort": "none"}, {"role", "content"}),
        (QWEN | {"tools": [CLOCK]}, {"role", "content", "reasoning", "tool_calls"}),
        ({"model": "groq/compound"}, {"content"}),
    ],
)
def test_models_that_reason_say_so_each_in_its_way(groq: SimulatedGroq, body: dict[str, Any], kinds: set[str]) -> None:
    found = deltas(stream(groq, **body))
    assert {kind for delta in found for kind in delta} == kinds
    assert all(delta.get("channel", "analysis") == "analysis" for delta in found)
    is_raw = body in (QWEN, QWEN | {"reasoning_format": "raw"})
    assert ("<think>" in [delta.get("content") for delta in found]) == is_raw


def test_reasoning_that_is_hidden_costs_what_it_costs_otherwise(groq: SimulatedGroq) -> None:
    shown, hidden = stream(groq)[-1]["usage"], stream(groq, include_reasoning=False)[-1]["usage"]
    assert hidden["completion_tokens"] == shown["completion_tokens"]
    assert hidden["completion_tokens_details"] == shown["completion_tokens_details"]
    assert "completion_tokens_details" not in stream(groq, **QWEN, reasoning_effort="none")[-1]["usage"]


def test_a_small_budget_leaves_a_reasoning_model_without_an_answer(groq: SimulatedGroq) -> None:
    chunks = stream(groq, model="openai/gpt-oss-20b", max_completion_tokens=5)
    assert "".join(delta.get("content", "") for delta in deltas(chunks)) == ""
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert chunks[-1]["usage"]["completion_tokens_details"] == {"reasoning_tokens": 5}


def test_tool_calls_come_whole_each_in_its_chunk(groq: SimulatedGroq) -> None:
    chunks = stream(groq, tools=[WEATHER, CLOCK])
    calls = [delta["tool_calls"] for delta in deltas(chunks) if "tool_calls" in delta]
    assert [len(call) for call in calls] == [1, 1]
    assert [call[0]["index"] for call in calls] == [0, 1]
    assert json.loads(calls[0][0]["function"]["arguments"]) == {"city": "Paris"}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    one = deltas(stream(groq, tools=[WEATHER, CLOCK], parallel_tool_calls=False))
    assert sum("tool_calls" in delta for delta in one) == 1
    chosen = {"type": "function", "function": {"name": "clock"}}
    named = deltas(stream(groq, tools=[WEATHER, CLOCK], tool_choice=chosen))
    assert [call["function"]["name"] for delta in named for call in delta.get("tool_calls", [])] == ["clock"]


def test_the_result_of_a_tool_is_answered_with_words(groq: SimulatedGroq) -> None:
    conversation = [{"role": "user", "content": "Hi"}, {"role": "tool", "content": "sunny"}]
    assert stream(groq, tools=[WEATHER], messages=conversation)[-1]["choices"][0]["finish_reason"] == "stop"


def test_compound_has_ids_that_change_no_opening_and_a_stub_at_the_end(groq: SimulatedGroq) -> None:
    chunks = stream(groq, model="groq/compound")
    assert "role" not in chunks[0]["choices"][0]["delta"]
    assert len({chunk["id"] for chunk in chunks}) == len(chunks)
    assert chunks[-1]["id"] == "stub"


def test_without_streaming_the_answer_is_one_object(groq: SimulatedGroq) -> None:
    whole = post(groq, model="openai/gpt-oss-120b").json()
    assert whole["object"] == "chat.completion"
    message = whole["choices"][0]["message"]
    streamed = deltas(stream(groq, model="openai/gpt-oss-120b"))
    assert message["content"] == "".join(delta.get("content", "") for delta in streamed)
    assert message["reasoning"] == "".join(delta.get("reasoning", "") for delta in streamed)
    assert whole["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0
    called = post(groq, tools=[WEATHER]).json()["choices"][0]["message"]
    assert set(called) == {"role", "reasoning", "tool_calls"}
    assert called["tool_calls"][0]["type"] == "function"


def test_the_same_request_has_the_same_answer(groq: SimulatedGroq) -> None:
    assert deltas(stream(groq)) == deltas(stream(groq))
    assert deltas(stream(groq, seed=1)) != deltas(stream(groq, seed=2))


QUESTIONS = [
    ("How do I find the trace of this chat?", "make trace"),
    ("Where is the row?", "chat_logs"),
    ("Which metrics are there?", "chat_requests_total"),
    ("What can I break?", "make chaos"),
    ("When is a request retried?", "attempt_log"),
    ("What does [DONE] mean?", "receipt"),
    ("Why is the sky blue?", "app/services/chat_service.py"),
]


@pytest.mark.parametrize(("question", "words"), QUESTIONS)
def test_first_questions_have_an_answer_about_the_service(groq: SimulatedGroq, question: str, words: str) -> None:
    whole = post(groq, messages=[{"role": "user", "content": question}]).json()
    text = whole["choices"][0]["message"]["content"]
    assert words in text
    assert text.endswith(".")
    assert 150 < whole["usage"]["completion_tokens"] < 400
