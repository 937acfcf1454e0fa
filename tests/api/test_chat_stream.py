"""Streamed chats over real HTTP between real processes, on both databases."""

import json
from typing import Any

import pytest
from openai import OpenAI, Stream
from openai.types.chat import ChatCompletionChunk

from tests.support.database import query
from tests.support.service import HELLO, PATH, Service, SimulatedGroq


def test_tokens_arrive_as_groq_sends_them_and_done_is_last(service: Service, groq: SimulatedGroq) -> None:
    """The first tokens arrive while Groq has not sent the others yet."""
    groq.fail({"after_tokens": 5, "silence_s": 1})
    with service.http.stream("POST", service.url + PATH, json=HELLO) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["x-accel-buffering"] == "no"
        pieces = response.iter_raw()
        body = next(pieces)
        assert b'"finish_reason":"stop"' not in body
        body += b"".join(pieces)
    assert b'"finish_reason":"stop"' in body
    assert body.endswith(b"\n\ndata: [DONE]\n\n")
    assert body.count(b"\ndata: [DONE]\n") == 1


def test_row_equals_the_stream_when_done_arrives(service: Service) -> None:
    reply = service.chat({"messages": [{"role": "user", "content": "Where is it stored?"}], "temperature": 0.5})
    assert reply.done
    row = service.row(reply.id)
    usage = reply.chunks[-1]["x_groq"]["usage"]
    assert (row["response"] or "") == reply.text
    assert row["prompt"] == "Where is it stored?"
    assert _json(row["messages"]) == [{"role": "user", "content": "Where is it stored?"}]
    assert _json(row["params"]) == {"temperature": 0.5}
    assert row["outcome"] == "completed"
    assert row["finish_reason"] == "stop"
    assert row["http_status"] == 200
    assert row["requested_model"] == row["model_name"] == reply.chunks[0]["model"] == "openai/gpt-oss-20b"
    assert row["upstream_request_id"] == reply.chunks[0]["x_groq"]["id"]
    assert (row["prompt_tokens"], row["completion_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert row["usage_source"] == "upstream"
    assert float(row["cost_usd"]) == pytest.approx(
        (usage["prompt_tokens"] * 0.075 + usage["completion_tokens"] * 0.30) / 1e6, abs=1e-9
    )
    assert 0 < row["ttft_ms"] < row["duration_ms"]
    assert row["attempts"] == 1


def test_ids_are_ordered_by_time(service: Service) -> None:
    ids = [service.chat().id for _ in range(3)]
    rows = query(service.database_url, "SELECT id, prompt, model_name, created_at FROM chat_logs ORDER BY id DESC")
    assert [str(row["id"]) for row in rows[:3]] == ids[::-1]


def test_log_line_equals_the_row_without_content(service: Service) -> None:
    reply = service.chat({"messages": [{"role": "user", "content": "secret-prompt"}]})
    line = service.finished_line(reply.id)
    row = service.row(reply.id)
    for name in ("outcome", "model_name", "completion_tokens", "ttft_ms", "attempts", "upstream_request_id"):
        assert line[name] == row[name]
    assert "secret-prompt" not in service.program.output


def test_openai_sdk_reads_the_stream(service: Service) -> None:
    """The SDK of OpenAI needs only the base URL."""
    client = OpenAI(base_url=f"{service.url}/api/v1", api_key="none", http_client=None)
    with client.post(
        "/chat/stream", cast_to=ChatCompletionChunk, body=HELLO, stream=True, stream_cls=Stream[ChatCompletionChunk]
    ) as stream:
        chunks = list(stream)
    client.close()
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text.startswith("You asked: “Hello”.")
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_reasoning_tools_and_usage_reach_client_and_row(service: Service) -> None:
    """Everything beside the content is relayed and stored."""
    reasoned = service.chat({**HELLO, "model": "openai/gpt-oss-120b", "stream_options": {"include_usage": True}})
    assert reasoned.chunks[-1]["choices"] == []
    row = service.row(reasoned.id)
    assert row["reasoning"].startswith("The user wants")
    assert row["reasoning_tokens"] > 0
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"properties": {"city": {}}}}}
    called = service.chat({**HELLO, "tools": [tool]})
    row = service.row(called.id)
    assert row["finish_reason"] == "tool_calls"
    assert _json(row["tool_calls"])[0]["function"]["name"] == "weather"


def test_client_request_id_is_stored(service: Service) -> None:
    reply = service.chat(headers={"x-request-id": "mine-1"})
    assert reply.id != "mine-1"
    assert service.row(reply.id)["client_request_id"] == "mine-1"


def test_alias_and_model_are_stored(service: Service) -> None:
    """The row has both the requested and the answering model."""
    row = service.row(service.chat({**HELLO, "model": "llama-3.3-8b-instant"}).id)
    assert (row["requested_model"], row["model_name"]) == ("llama-3.3-8b-instant", "openai/gpt-oss-20b")


def test_unknown_fields_are_forwarded_and_client_headers_are_not(service: Service, groq: SimulatedGroq) -> None:
    service.chat({**HELLO, "service_tier": "flex"}, headers={"x-secret": "of the client", "cookie": "a=b"})
    request = groq.seen()["last_request"]
    assert request["body"] == {**HELLO, "service_tier": "flex", "model": "openai/gpt-oss-20b", "stream": True}
    assert request["headers"]["authorization"] == "Bearer test"
    assert request["headers"]["accept-encoding"] == "identity"
    assert not {"x-secret", "cookie"} & set(request["headers"])


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_stream_split_at_any_byte_is_read_correctly(
    service: Service, groq: SimulatedGroq, size: int, line_end: str
) -> None:
    groq.fail({"bytes_per_write": size, "line_end": line_end, "tokens_per_s": 5000})
    reply = service.chat()
    row = service.row(reply.id)
    assert row["response"].startswith("You asked: “Hello”.")
    assert row["outcome"] == "completed"
    assert reply.body.endswith(b"data: [DONE]\n\n")
    assert row["usage_source"] == "upstream"


def test_chat_completes_without_done_from_groq(service: Service, groq: SimulatedGroq) -> None:
    """`finish_reason` marks the end of the answer."""
    groq.fail({"ending": "no_done"})
    reply = service.chat()
    assert reply.done
    assert service.row(reply.id)["outcome"] == "completed"


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
