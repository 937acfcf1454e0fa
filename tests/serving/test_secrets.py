"""Keys, headers and content of clients are in no signal and no error; only the content is sent to Groq."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.support.otlp import Collector, collecting
from tests.support.ports import free_port
from tests.support.recording import Recording, answer_of, recording
from tests.support.service import DROP_IN, PATH, Reply
from tests.support.serving import Workers, serving
from tests.support.shared import SharedResources

CLIENT_KEY = "sentinel-key-of-a-client"
GROQ_KEY = "sentinel-key-of-groq"
REDIS_PASSWORD = "sentinel-password-of-redis"
PROMPT = "sentinel-of-a-prompt"
ANSWER = "sentinel-of-an-answer"
HEADER = "sentinel-in-a-header"
KEYS = (CLIENT_KEY, GROQ_KEY, REDIS_PASSWORD)
BODY = {"messages": [{"role": "user", "content": PROMPT}]}


@pytest.fixture(scope="module")
def upstream_process() -> Iterator[Recording]:
    with recording() as running:
        yield running


@pytest.fixture
def upstream(upstream_process: Recording) -> Recording:
    """It completes each answer until a test scripts another."""
    upstream_process.status, upstream_process.body = 200, answer_of(ANSWER, ANSWER)
    upstream_process.requests.clear()
    return upstream_process


@pytest.fixture(scope="module")
def spans() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def verbose(
    shared: SharedResources,
    http: httpx2.Client,
    tmp_path_factory: pytest.TempPathFactory,
    upstream_process: Recording,
    spans: Collector,
) -> Iterator[Workers]:
    """A worker that logs at DEBUG, and whose Redis, with a password, is unavailable."""
    folder = tmp_path_factory.mktemp("verbose")
    url = shared.migrated_database("sqlite", folder)
    env = {
        "GROQ_API_KEY": GROQ_KEY,
        "GROQ_BASE_URL": upstream_process.url,
        "GROQ_RETRY_SLEEP_BUDGET_S": "0.1",
        "API_KEYS": f"me:{CLIENT_KEY}",
        "QUOTA_REQUESTS_PER_MINUTE": "1000",
        "REDIS_URL": f"redis://:{REDIS_PASSWORD}@127.0.0.1:{free_port()}/0",
        "CORS_ALLOW_ORIGINS": "*",
        "OPENAI_LOG": "debug",
        **spans.env,
    }
    app = "tests.serving.apps:with_debug_logs()"
    with serving(folder, http, env, database_url=url, workers=1, app=app) as running:
        yield running


def chat(workers: Workers, content: bytes | None = None, *, key: str = CLIENT_KEY, path: str = PATH) -> Reply:
    """A chat with headers that no other party may receive."""
    headers = {
        "authorization": f"Bearer {key}",
        "cookie": f"session={HEADER}",
        "x-api-key": HEADER,
        "x-forwarded-for": "203.0.113.77",
        "openai-organization": HEADER,
        "user-agent": "agent-of-a-client",  # an attribute of spans, by convention
        "baggage": f"user={HEADER}",
        "tracestate": f"vendor={HEADER}",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    return workers.chat(content=content or json.dumps(BODY).encode(), headers=headers, path=path)


def failed_chats(workers: Workers, upstream: Recording) -> list[Reply]:
    """Every error that could quote what was sent: invalid JSON, wrong types and keys, errors of Groq."""
    prompt = PROMPT.encode()
    replies = [
        chat(workers, b'{"messages": [{"role": "user", "content": "' + prompt),
        chat(workers, b'{"messages": [{"role": "' + prompt + b'", "content": "x"}]}'),
        chat(workers, b'{"messages": "' + prompt + b'"}'),
        chat(workers, b'{"messages": [{"role": "user", "content": {"a": "' + prompt + b'"}}]}'),
        chat(workers, b'{"messages": [{"role": "user", "content": "x"}], "temperature": "' + prompt + b'"}'),
        chat(workers, b'{"messages": [{"role": "user", "content": "' + prompt + b'\\ud800"}]}'),
        chat(workers, prompt),
        chat(workers, key="sentinel-key-that-is-wrong"),
    ]
    assert {reply.status for reply in replies} == {400, 401}
    for status in (401, 403, 500, 503):
        upstream.status = status
        upstream.body = json.dumps({"error": {"message": f"no: {GROQ_KEY}", "code": "invalid_api_key"}}).encode()
        replies.append(chat(workers))
    upstream.status, upstream.body = 200, b"data: {" + GROQ_KEY.encode() + b"\n\n"
    replies.append(chat(workers))
    return replies


def test_no_signal_and_no_error_contains_a_secret(verbose: Workers, upstream: Recording, spans: Collector) -> None:
    completed = chat(verbose)
    assert completed.done
    replies = failed_chats(verbose, upstream)
    chats = {reply.id for reply in replies if reply.status not in {400, 401}} | {completed.id}
    spans.wait_for(lambda span: span.attributes.get("chat.id") in chats, len(chats))
    for chat_id in chats:
        verbose.finished_line(chat_id)
    signals = {
        "the log": verbose.program.output,
        "the metrics": verbose.http.get(f"http://127.0.0.1:{verbose.metrics_base}/metrics").text,
        "the spans": "".join(map(str, spans.spans)),
        "the errors": "".join(f"{reply.headers}{reply.body!r}" for reply in replies if reply.status != 200),
    }
    assert "INSERT INTO chat_logs" in signals["the log"], "it does not log at DEBUG"
    assert '"level":"debug"' not in signals["the log"]
    for name, text in signals.items():
        assert text
        for secret in (*KEYS, "sentinel-key-that-is-wrong", PROMPT, ANSWER, HEADER):
            assert secret not in text, f"{secret} is in {name}"


def test_client_does_not_see_that_groq_refused_the_service_s_key(verbose: Workers, upstream: Recording) -> None:
    upstream.body = json.dumps(
        {"error": {"message": f"Invalid API Key {GROQ_KEY}", "code": "invalid_api_key"}}
    ).encode()
    for status in (401, 403):
        upstream.status = status
        refused = chat(verbose)
        assert (refused.status, refused.error["code"]) == (502, "upstream_refused_key")
        assert "www-authenticate" not in refused.headers
        assert GROQ_KEY.encode() not in refused.body


ERROR = {"message": f"no: {GROQ_KEY}", "code": GROQ_KEY, "details": [{GROQ_KEY: GROQ_KEY}]}
LAST_CHUNK: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": None}]}
IN_THE_STREAM = [
    b"event: error\ndata: " + json.dumps({"error": ERROR}).encode(),
    b"event: error\ndata: " + json.dumps({"error": ERROR | {"status_code": 400}}).encode(),
    b"event: error\ndata: " + json.dumps({"error": ERROR}).encode().replace(b"sentinel", b"\\u0073entinel"),
    b"data: " + json.dumps({"error": f"no: {GROQ_KEY}"}).encode(),
    b"data: " + json.dumps(LAST_CHUNK | {"x_groq": {"id": "req_1", "error": f"no: {GROQ_KEY}"}}).encode(),
]


@pytest.mark.parametrize("error", IN_THE_STREAM, ids=["event", "with a status", "escaped", "chunk", "early stop"])
@pytest.mark.parametrize("started", [True, False])
def test_service_s_key_is_removed_from_errors_of_groq(
    verbose: Workers, upstream: Recording, error: bytes, *, started: bool
) -> None:
    first = answer_of(ANSWER).partition(b"\n\n")[0] + b"\n\n" if started else b""
    upstream.body = first + error + b"\n\ndata: [DONE]\n\n"
    streamed = chat(verbose)
    assert (streamed.status == 200) == started
    upstream.body = error.split(b"data: ")[-1]
    upstream.status = 200 if b"x_groq" in error else 400
    json_reply = chat(verbose, path=DROP_IN)
    replies = [streamed] if b"x_groq" in error else [streamed, json_reply]  # without a stream, `x_groq` is no error
    for reply in replies:
        assert "(the key of this service)" in reply.error["message"]
        assert GROQ_KEY.encode() not in reply.body
    rows = [verbose.row(reply.id) for reply in replies]
    assert GROQ_KEY not in str(rows) + verbose.program.output


def test_headers_of_a_client_are_not_sent_to_groq(verbose: Workers, upstream: Recording) -> None:
    assert chat(verbose).done
    (sent,) = upstream.requests
    assert f"authorization: Bearer {GROQ_KEY}" in sent.replace("Authorization", "authorization")
    assert PROMPT in sent
    for secret in (CLIENT_KEY, HEADER, "agent-of-a-client", "203.0.113.77", "0af7651916cd43dd8448eb211c80319c"):
        assert secret not in sent
