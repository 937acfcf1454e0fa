"""Keys and what people say reach those whom they are for, and nobody else: neither a signal nor an error nor Groq."""

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

CALLERS_KEY = "sentinel-key-of-a-caller"
GROQ_KEY = "sentinel-key-of-groq"
REDIS_PASSWORD = "sentinel-password-of-redis"
ASKED = "sentinel-of-what-was-asked"
ANSWERED = "sentinel-of-what-was-answered"
BESIDE = "sentinel-in-a-header"
KEYS = (CALLERS_KEY, GROQ_KEY, REDIS_PASSWORD)
BODY = {"messages": [{"role": "user", "content": ASKED}]}


@pytest.fixture(scope="module")
def upstream_process() -> Iterator[Recording]:
    with recording() as running:
        yield running


@pytest.fixture
def upstream(upstream_process: Recording) -> Recording:
    """It answers well, until a test says otherwise."""
    upstream_process.status, upstream_process.body = 200, answer_of(ANSWERED, ANSWERED)
    upstream_process.requests.clear()
    return upstream_process


@pytest.fixture(scope="module")
def spans() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def loud(
    shared: SharedResources,
    http: httpx2.Client,
    tmp_path_factory: pytest.TempPathFactory,
    upstream_process: Recording,
    spans: Collector,
) -> Iterator[Workers]:
    """All that logs, logs all it can; a Redis with a password is away."""
    folder = tmp_path_factory.mktemp("loud")
    url = shared.migrated_database("sqlite", folder)
    env = {
        "GROQ_API_KEY": GROQ_KEY,
        "GROQ_BASE_URL": upstream_process.url,
        "GROQ_RETRY_SLEEP_BUDGET_S": "0.1",
        "API_KEYS": f"me:{CALLERS_KEY}",
        "QUOTA_REQUESTS_PER_MINUTE": "1000",
        "REDIS_URL": f"redis://:{REDIS_PASSWORD}@127.0.0.1:{free_port()}/0",
        "CORS_ALLOW_ORIGINS": "*",
        "OPENAI_LOG": "debug",
        **spans.env,
    }
    with serving(folder, http, env, database_url=url, workers=1, app="tests.serving.loudly:create_app()") as running:
        yield running


def ask(workers: Workers, content: bytes | None = None, *, key: str = CALLERS_KEY, path: str = PATH) -> Reply:
    """With headers that are nobody's business."""
    headers = {
        "authorization": f"Bearer {key}",
        "cookie": f"session={BESIDE}",
        "x-api-key": BESIDE,
        "x-forwarded-for": "203.0.113.77",
        "openai-organization": BESIDE,
        "user-agent": "agent-of-a-client",  # spans tell it, by convention
        "baggage": f"user={BESIDE}",
        "tracestate": f"vendor={BESIDE}",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    return workers.chat(content=content or json.dumps(BODY).encode(), headers=headers, path=path)


def refusals(workers: Workers, upstream: Recording) -> list[Reply]:
    """In every way in which a text may come back: broken JSON, wrong types, wrong keys, refusals of Groq's."""
    said = ASKED.encode()
    replies = [
        ask(workers, b'{"messages": [{"role": "user", "content": "' + said),
        ask(workers, b'{"messages": [{"role": "' + said + b'", "content": "x"}]}'),
        ask(workers, b'{"messages": "' + said + b'"}'),
        ask(workers, b'{"messages": [{"role": "user", "content": {"a": "' + said + b'"}}]}'),
        ask(workers, b'{"messages": [{"role": "user", "content": "x"}], "temperature": "' + said + b'"}'),
        ask(workers, b'{"messages": [{"role": "user", "content": "' + said + b'\\ud800"}]}'),
        ask(workers, said),
        ask(workers, key="sentinel-key-that-is-wrong"),
    ]
    assert {reply.status for reply in replies} == {400, 401}
    for status in (401, 403, 500, 503):
        upstream.status = status
        upstream.body = json.dumps({"error": {"message": f"no: {GROQ_KEY}", "code": "invalid_api_key"}}).encode()
        replies.append(ask(workers))
    upstream.status, upstream.body = 200, b"data: {" + GROQ_KEY.encode() + b"\n\n"
    replies.append(ask(workers))
    return replies


def test_no_signal_and_no_error_tells_what_is_secret(loud: Workers, upstream: Recording, spans: Collector) -> None:
    well = ask(loud)
    assert well.done
    replies = refusals(loud, upstream)
    chats = {reply.id for reply in replies if reply.status not in {400, 401}} | {well.id}
    spans.wait_for(lambda span: span.attributes.get("chat.id") in chats, len(chats))
    signals = {
        "the log": loud.program.output,
        "the metrics": loud.http.get(f"http://127.0.0.1:{loud.metrics_base}/metrics").text,
        "the spans": "".join(map(str, spans.spans)),
        "the errors": "".join(f"{reply.headers}{reply.body!r}" for reply in replies if reply.status != 200),
    }
    assert "INSERT INTO chat_logs" in signals["the log"], "it is not as loud as it can be"
    assert '"level":"debug"' not in signals["the log"]
    for name, text in signals.items():
        assert text
        for secret in (*KEYS, "sentinel-key-that-is-wrong", ASKED, ANSWERED, BESIDE):
            assert secret not in text, f"{secret} is in {name}"


def test_groqs_refusal_of_our_key_is_ours_and_never_the_callers(loud: Workers, upstream: Recording) -> None:
    upstream.body = json.dumps(
        {"error": {"message": f"Invalid API Key {GROQ_KEY}", "code": "invalid_api_key"}}
    ).encode()
    for status in (401, 403):
        upstream.status = status
        refused = ask(loud)
        assert (refused.status, refused.error["code"]) == (502, "upstream_refused_key")
        assert "www-authenticate" not in refused.headers
        assert GROQ_KEY.encode() not in refused.body


SAID = {"message": f"no: {GROQ_KEY}", "code": GROQ_KEY, "beside": [{GROQ_KEY: GROQ_KEY}]}
LAST_CHUNK: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": None}]}
IN_THE_STREAM = [
    b"event: error\ndata: " + json.dumps({"error": SAID}).encode(),
    b"event: error\ndata: " + json.dumps({"error": SAID | {"status_code": 400}}).encode(),
    b"event: error\ndata: " + json.dumps({"error": SAID}).encode().replace(b"sentinel", b"\\u0073entinel"),
    b"data: " + json.dumps({"error": f"no: {GROQ_KEY}"}).encode(),
    b"data: " + json.dumps(LAST_CHUNK | {"x_groq": {"id": "req_1", "error": f"no: {GROQ_KEY}"}}).encode(),
]


@pytest.mark.parametrize("error", IN_THE_STREAM, ids=["event", "with a status", "escaped", "chunk", "early stop"])
@pytest.mark.parametrize("begun", [True, False])
def test_our_key_is_not_told_where_groq_quotes_it_in_the_stream(
    loud: Workers, upstream: Recording, error: bytes, *, begun: bool
) -> None:
    first = answer_of(ANSWERED).partition(b"\n\n")[0] + b"\n\n" if begun else b""
    upstream.body = first + error + b"\n\ndata: [DONE]\n\n"
    streamed = ask(loud)
    assert (streamed.status == 200) == begun
    upstream.body = error.split(b"data: ")[-1]
    upstream.status = 200 if b"x_groq" in error else 400
    whole = ask(loud, path=DROP_IN)
    if b"x_groq" in error:  # of an answer that came as a whole, it is the client's
        whole = streamed
    for reply in (streamed, whole):
        assert "(the key of this service)" in reply.error["message"]
        assert GROQ_KEY.encode() not in reply.body
    rows = [loud.row(reply.id) for reply in (streamed, whole)]
    assert GROQ_KEY not in str(rows) + loud.program.output


def test_nothing_that_a_client_sends_as_a_header_reaches_groq(loud: Workers, upstream: Recording) -> None:
    assert ask(loud).done
    (sent,) = upstream.requests
    assert f"authorization: Bearer {GROQ_KEY}" in sent.replace("Authorization", "authorization")
    assert ASKED in sent
    for theirs in (CALLERS_KEY, BESIDE, "agent-of-a-client", "203.0.113.77", "0af7651916cd43dd8448eb211c80319c"):
        assert theirs not in sent
