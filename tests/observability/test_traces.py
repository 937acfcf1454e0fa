"""One chat, one trace: read at a collector, as it comes over the wire."""

from typing import Any
from uuid import uuid4

import pytest

from tests.observability.chat_trace import spans_of
from tests.observability.conftest import Observed
from tests.support.service import HELLO, PATH, SimulatedGroq


def address(observed: Observed) -> tuple[str, int]:
    host, port = observed.url.removeprefix("http://").split(":")
    return host, int(port)


def test_chat_has_a_server_span_a_chat_span_and_one_for_each_attempt(observed: Observed, groq: SimulatedGroq) -> None:
    groq.fail({"status": 503, "times": 1})
    theirs = f"00-{uuid4().hex}-{uuid4().hex[:16]}-01"
    body = {**HELLO, "temperature": 0.5, "max_completion_tokens": 60, "seed": 7, "top_p": 0.9}
    reply = observed.chat(body, headers={"traceparent": theirs})
    assert reply.done
    spans = spans_of(observed, reply.id)
    assert {name: len(found) for name, found in spans.items()} == {"POST": 1, "chat": 1, "groq.attempt": 2}
    (server,), (chat,), attempts = spans["POST"], spans["chat"], spans["groq.attempt"]

    trace_id, caller_s_span = theirs.split("-")[1:3]
    assert {span.trace_id for found in spans.values() for span in found} == {trace_id}
    assert server.parent_id == caller_s_span
    assert chat.parent_id == server.span_id
    assert {attempt.parent_id for attempt in attempts} == {chat.span_id}
    assert reply.headers["traceresponse"].split("-")[1:3] == [trace_id, server.span_id]

    assert (server.kind, chat.kind, attempts[0].kind) == ("SERVER", "CLIENT", "CLIENT")
    assert server.name == f"POST {PATH}"
    assert server.attributes["http.route"] == PATH
    assert server.attributes["http.response.status_code"] == 200
    assert (server.attributes["server.address"], server.attributes["server.port"]) == address(observed)
    assert chat.resource["service.name"] == "chat-under-test"
    assert not any(span.failed for span in (server, chat, *attempts))

    first, second = sorted(attempts, key=lambda span: span.start)
    assert (first.attributes["http.response.status_code"], first.attributes["error.type"]) == (
        503,
        "upstream_unavailable",
    )
    assert (second.attributes["http.response.status_code"], second.attributes["http.request.resend_count"]) == (200, 1)
    assert second.attributes["groq.ratelimit.remaining_tokens"] > 0
    assert chat.start <= first.start < first.end <= second.start < second.end < chat.end
    assert {"retry", "first_token", "committed"} == set(chat.events)


def test_chat_span_has_the_attributes_of_the_conventions_and_of_the_service(observed: Observed) -> None:
    body = {**HELLO, "model": "openai/gpt-oss-120b", "temperature": 0.5, "max_tokens": 60, "seed": 7, "top_p": 0.9}
    reply = observed.chat(body)
    (chat,) = spans_of(observed, reply.id)["chat"]
    row = observed.row(reply.id)
    attributes: dict[str, Any] = chat.attributes
    assert chat.name == "chat openai/gpt-oss-120b"
    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "groq",
        "gen_ai.request.model": "openai/gpt-oss-120b",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 60,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.seed": 7,
        "gen_ai.response.id": reply.chunks[0]["id"],
        "gen_ai.response.model": row["model_name"],
        "gen_ai.response.finish_reasons": [row["finish_reason"]],
        "gen_ai.usage.input_tokens": row["prompt_tokens"],
        "gen_ai.usage.output_tokens": row["completion_tokens"],
        "gen_ai.usage.reasoning.output_tokens": row["reasoning_tokens"],
        "gen_ai.usage.cache_read.input_tokens": row["cached_tokens"],
        "server.address": "127.0.0.1",
        "chat.id": reply.id,
        "chat.outcome": "completed",
        "chat.attempts": 1,
        "chat.usage_source": "upstream",
        "chat.cost_usd": pytest.approx(row["cost_usd"]),
        "chat.ttft_s": pytest.approx(row["ttft_ms"] / 1000),
        "groq.request_id": row["upstream_request_id"],
    }.items() <= attributes.items()
    for name in (
        "gen_ai.response.time_to_first_chunk",
        "chat.time_per_output_token_s",
        "chat.longest_silence_s",
        "chat.overhead_s",
        "chat.backpressure_s",
        "groq.queue_time",
        "groq.prompt_time",
        "groq.completion_time",
    ):
        assert attributes[name] >= 0, name
    assert attributes["chat.bytes"] == len(reply.body) - len(b"data: [DONE]\n\n")
    assert "error.type" not in attributes
    assert row["trace_id"] == chat.trace_id


def test_commit_is_a_trace_with_links_to_its_chats(observed: Observed) -> None:
    reply = observed.chat()
    (chat,) = spans_of(observed, reply.id)["chat"]
    (commit,) = observed.collector.wait_for(lambda span: chat.span_id in span.links)
    assert (commit.name, commit.kind, commit.parent_id) == ("chat_logs.commit", "INTERNAL", "")
    assert commit.trace_id != chat.trace_id
    assert (commit.resource["service.name"], chat.resource["service.name"]) == (
        "chat-under-test-commits",
        "chat-under-test",
    )
    assert commit.attributes == {"chat_logs.rows": 1, "chat_logs.stored_in": "database", "db.system.name": "sqlite"}


def test_health_checks_and_refusals_have_no_chat_span(observed: Observed) -> None:
    observed.http.get(f"{observed.url}/healthz")
    observed.http.get(f"{observed.url}/readyz")
    refused = observed.chat({"messages": []})
    assert refused.status == 400
    trace_id = refused.headers["traceresponse"].split("-")[1]
    spans_of(observed, observed.chat().id)  # a span of the refused request would have come before this one
    assert [span.name for span in observed.collector.trace(trace_id, "POST ")] == [f"POST {PATH}"]
    assert not [span for span in observed.collector.spans if "health" in span.name or "readyz" in span.name]


def test_headers_are_cut_and_queries_removed(observed: Observed) -> None:
    """Spans wait in memory, and queries may hold keys; of its baggage, nothing is read."""
    headers = {"user-agent": "x" * 60_000, "baggage": "=,a-secret-word", "content-type": "application/json"}
    path = f"{observed.url}{PATH}?api_key=a-secret-word"
    response = observed.http.post(path, content=b"{}", headers=headers)
    trace_id = response.headers["traceresponse"].split("-")[1]
    (server,) = observed.collector.trace(trace_id, "POST ")
    assert len(server.attributes["user_agent.original"]) == 256
    assert "a-secret-word" not in str(server)
    assert "a-secret-word" not in observed.program.output
