"""Requests without `stream`: the response of Groq is returned byte for byte."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.support.recording import Recording, recording
from tests.support.service import DROP_IN, HELLO, Reply, Service, SimulatedGroq, service_before

ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1764150000,
    "model": "openai/gpt-oss-20b",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Because of 東京🚀.", "reasoning": "Hm."},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 70, "completion_tokens": 12, "completion_tokens_details": {"reasoning_tokens": 3}},
    "x_groq": {"id": "req_1"},
    "something_new": [1.0, {"a": None}],
}
BODY = json.dumps(ANSWER, indent=3, ensure_ascii=False).encode() + b"\n"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Recording]:
    with recording() as running:
        yield running


@pytest.fixture(scope="module")
def non_streaming_process(
    upstream: Recording, http: httpx2.Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("non-streaming")
    groq = SimulatedGroq(upstream.url, http)
    limits = {
        "CHAT_TIMEOUT_S": "3",
        "GROQ_FIRST_TOKEN_TIMEOUT_S": "0.3",
        "CLIENT_WRITE_TIMEOUT_S": "1",
        "CLIENT_BUFFER_BYTES": "4096",
    }
    with service_before(groq, folder, limits) as running:
        yield running


@pytest.fixture
def non_streaming(non_streaming_process: Service, upstream: Recording) -> Service:
    """A service whose upstream responds with `BODY`."""
    upstream.answer(BODY)
    return non_streaming_process


def complete(service: Service, **parameters: Any) -> Reply:
    return service.chat({**HELLO, **parameters}, path=DROP_IN)


def test_request_and_response_are_relayed_unchanged(non_streaming: Service, upstream: Recording) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    reply = complete(non_streaming, response_format=schema, stream=False, seed=1)
    assert (reply.status, reply.body) == (200, BODY)
    assert reply.headers["content-type"] == "application/json"
    model = "openai/gpt-oss-20b"
    assert upstream.sent == {**HELLO, "model": model, "response_format": schema, "stream": False, "seed": 1}


def test_row_equals_the_response_and_streaming_times_are_null(non_streaming: Service) -> None:
    reply = complete(non_streaming)
    row = non_streaming.row(reply.id)
    assert (row["response"], row["reasoning"], row["refusal"]) == ("Because of 東京🚀.", "Hm.", None)
    assert (row["prompt_tokens"], row["completion_tokens"], row["reasoning_tokens"]) == (70, 12, 3)
    assert (row["outcome"], row["finish_reason"], row["usage_source"]) == ("completed", "stop", "upstream")
    assert (row["model_name"], row["upstream_request_id"]) == ("openai/gpt-oss-20b", "req_1")
    assert row["ttft_ms"] is None
    assert float(row["cost_usd"]) == pytest.approx((70 * 0.075 + 12 * 0.30) / 1e6, abs=1e-9)
    line = non_streaming.finished_line(reply.id)
    assert (line["streamed"], line["chunks"], line["upstream_response_id"]) == (False, 0, "chatcmpl-1")
    assert (line["overhead_ms"], line["upstream_first_chunk_ms"], line["time_per_output_token_ms"]) == (
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("message", "column", "stored"),
    [
        ({"role": "assistant", "content": None, "refusal": "I will not."}, "refusal", "I will not."),
        ({"role": "assistant", "tool_calls": [{"id": "1", "type": "function"}]}, "tool_calls", [{"id": "1"}]),
    ],
)
def test_refusal_and_tool_calls_are_stored(
    non_streaming: Service, upstream: Recording, message: dict[str, Any], column: str, stored: Any
) -> None:
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    upstream.answer(json.dumps({**ANSWER, "choices": [choice]}).encode())
    row = non_streaming.row(complete(non_streaming).id)
    assert row["response"] is None
    found = json.loads(row[column]) if column == "tool_calls" else row[column]
    assert found == stored or found[0] | stored[0] == found[0]


@pytest.mark.parametrize(
    ("script", "status", "code", "requests"),
    [
        ({"cut": True}, 502, "upstream_broken", 1),
        ({"body": b"<html>oops</html>"}, 502, "upstream_broken", 1),
        ({"body": b'{"error": {"message": "no", "code": "odd"}}'}, 502, "odd", 1),
        ({"body": b'{"error": {"message": "no", "status_code": 400}}'}, 400, "upstream_rejected", 1),
        ({"delay_s": 5}, 504, "upstream_timeout", 1),
        ({"status": 400, "body": b'{"error": {"message": "no", "code": "x"}}'}, 400, "x", 1),
        ({"status": 503, "body": b"{}"}, 503, "upstream_unavailable", 3),
    ],
)
def test_failure_has_its_status_and_a_paid_answer_is_not_requested_again(
    non_streaming: Service, upstream: Recording, script: dict[str, Any], status: int, code: str, requests: int
) -> None:
    upstream.answer(**{"body": BODY} | script)
    reply = complete(non_streaming)
    assert (reply.status, reply.error["code"]) == (status, code)
    row = non_streaming.row(reply.id)
    assert (row["http_status"], row["response"], row["attempts"]) == (status, None, requests)
    assert len(upstream.requests) == requests


def test_first_token_timeout_does_not_apply(non_streaming: Service, upstream: Recording) -> None:
    upstream.answer(BODY, delay_s=0.6)  # more than GROQ_FIRST_TOKEN_TIMEOUT_S
    assert complete(non_streaming).body == BODY


def test_disconnect_closes_the_request_to_groq_and_stores_a_row(non_streaming: Service, upstream: Recording) -> None:
    upstream.answer(BODY, delay_s=20)
    host, port = non_streaming.url.removeprefix("http://").split(":")
    body = json.dumps(HELLO).encode()
    with socket.create_connection((host, int(port))) as client:
        head = f"POST {DROP_IN} HTTP/1.1\r\nhost: x\r\nx-request-id: gone\r\ncontent-type: application/json\r\n"
        client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        assert upstream.requested.wait(5)
    assert upstream.disconnected.wait(5)
    assert non_streaming.program.wait_for('"gone"')
    (facts,) = [json.loads(line) for line in non_streaming.program.lines if '"gone"' in line]
    assert (facts["outcome"], facts["http_status"]) == ("client_disconnected", 499)
    row = non_streaming.row(facts["request_id"])
    assert (row["response"], row["usage_source"], row["completion_tokens"]) == (None, "estimated", 0)


def test_client_that_reads_nothing_is_disconnected_and_its_chat_is_completed(
    non_streaming: Service, upstream: Recording
) -> None:
    """The row was stored before the first byte."""
    message = {"role": "assistant", "content": "word " * 200_000}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    upstream.answer(json.dumps({**ANSWER, "choices": [choice]}).encode())
    host, port = non_streaming.url.removeprefix("http://").split(":")
    body = json.dumps(HELLO).encode()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect((host, int(port)))
        head = f"POST {DROP_IN} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        received = client.recv(1000)
        assert received.startswith(b"HTTP/1.1 200")
        time.sleep(2.5)  # CLIENT_WRITE_TIMEOUT_S is 1
        rest = b""
        while data := client.recv(65536):
            rest += data
    assert not rest.endswith(b"0\r\n\r\n")
    row = non_streaming.row(received.decode().partition("x-request-id: ")[2][:36])
    assert (row["outcome"], row["http_status"]) == ("completed", 200)


def test_openai_sdk_parses_structured_outputs(non_streaming: Service, upstream: Recording) -> None:
    class Capital(BaseModel):
        city: str

    message = {"role": "assistant", "content": '{"city": "Paris"}'}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    upstream.answer(json.dumps({**ANSWER, "choices": [choice]}).encode())
    with OpenAI(base_url=f"{non_streaming.url}/v1", api_key="none", max_retries=0) as client:
        answer = client.chat.completions.parse(
            model="openai/gpt-oss-20b", messages=[{"role": "user", "content": "France?"}], response_format=Capital
        )
    assert answer.choices[0].message.parsed == Capital(city="Paris")
    assert not upstream.sent["stream"]


@pytest.mark.parametrize(
    ("patch", "fields"),
    [
        ({"usage": {"prompt_tokens": 3.0, "completion_tokens": 4.0}}, []),
        ({"usage": {"prompt_tokens": 3.5, "completion_tokens": 4}}, ["prompt_tokens"]),
        ({"usage": []}, []),
        ({"id": 123, "service_tier": {"a": 1}}, ["id"]),
        ({"choices": "none"}, ["choices"]),
    ],
)
def test_field_of_an_unexpected_type_does_not_end_the_chat(
    non_streaming: Service, upstream: Recording, patch: dict[str, Any], fields: list[str]
) -> None:
    body = json.dumps({**ANSWER, **patch}).encode()
    upstream.answer(body)
    reply = complete(non_streaming)
    assert (reply.status, reply.body) == (200, body)
    assert non_streaming.finished_line(reply.id)["unexpected_fields"] == fields
    assert non_streaming.row(reply.id)["outcome"] == "completed"
