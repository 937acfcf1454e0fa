"""Responses that bug reports of other projects describe: the chat continues, or ends with a useful message."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.support.scrape import scrape, total
from tests.support.service import DROP_IN, HELLO, PATH, Service, SimulatedGroq, service_before


@pytest.fixture(scope="module")
def retrying_process(groq_process: SimulatedGroq, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {
        "GROQ_MAX_ATTEMPTS": "2",
        "GROQ_RETRY_SLEEP_BUDGET_S": "1.5",
        "INTER_TOKEN_TIMEOUT_S": "30",
        "CHAT_MAX_ANSWER_BYTES": "200000",
        "CHAT_MAX_STREAM_BYTES": "2000000",
    }
    with service_before(groq_process, tmp_path_factory.mktemp("retrying"), settings) as running:
        yield running


@pytest.fixture
def retrying(retrying_process: Service, groq: SimulatedGroq) -> Service:
    """A service that retries once, for at most 1.5 s."""
    return retrying_process


@pytest.mark.parametrize("path", [PATH, DROP_IN])
@pytest.mark.parametrize(
    ("patch", "fields"),
    [
        ({"usage.prompt_tokens": 3.0, "x_groq.usage.prompt_tokens": 3.0}, []),
        ({"usage.prompt_tokens": 3.5}, ["prompt_tokens"]),
        ({"usage.completion_tokens": "3"}, ["completion_tokens"]),
        ({"usage.completion_tokens": -4}, ["completion_tokens"]),
        ({"usage.completion_tokens": 2**63 - 1}, ["completion_tokens"]),
        ({"id": 123}, ["id"]),
        ({"service_tier": {"kind": "on_demand"}}, []),
        ({"choices.0.delta.content": ["part"], "choices.0.message.content": ["part"]}, ["content"]),
    ],
)
def test_field_of_an_unexpected_type_does_not_end_the_chat(
    retrying: Service, groq: SimulatedGroq, patch: dict[str, Any], fields: list[str], path: str
) -> None:
    groq.fail({"patch": patch})
    reply = retrying.chat(path=path)
    assert reply.status == 200
    assert path == DROP_IN or reply.done
    assert retrying.finished_line(reply.id)["unexpected_fields"] == fields
    row = retrying.row(reply.id)
    assert (row["outcome"], row["completion_tokens"] >= 0, row["completion_tokens"] < 10**6) == (
        "completed",
        True,
        True,
    )


def test_fields_of_unexpected_types_are_counted(retrying: Service, groq: SimulatedGroq) -> None:
    port, name = retrying.own_metrics_port, "chat_upstream_unexpected_fields_total"
    before = total(scrape(retrying.http, port), name, field="model")
    groq.fail({"patch": {"model": ["m"]}})
    retrying.finished_line(retrying.chat().id)
    assert total(scrape(retrying.http, port), name, field="model") == before + 1


def header_of(text: str) -> str:
    """`date+600` stands for the HTTP date in ten minutes; other texts are returned unchanged."""
    if not text.startswith("date"):
        return text
    return format_datetime(datetime.now(UTC) + timedelta(seconds=int(text[4:])), usegmt=True)


@pytest.mark.parametrize("header", ["0", "0.5", "1", "date-5", "-3", "soon", "1" * 400, ""])
def test_short_or_invalid_retry_after_is_followed_by_a_retry(
    retrying: Service, groq: SimulatedGroq, header: str
) -> None:
    groq.fail({"status": 429, "retry_after": header_of(header), "times": 1})
    reply = retrying.chat()
    assert reply.done
    assert retrying.row(reply.id)["attempts"] == 2


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("header", "least", "most"), [("7", 7, 7), ("6.2", 7, 7), ("date+600", 400, 600)])
def test_long_retry_after_is_returned_in_whole_seconds(
    retrying: Service, groq: SimulatedGroq, header: str, least: int, most: int, status: int
) -> None:
    groq.fail({"status": status, "retry_after": header_of(header)})
    reply = retrying.chat()
    assert reply.status == status
    assert least <= int(reply.headers["retry-after"]) <= most
    assert retrying.row(reply.id)["attempts"] == 1


@pytest.mark.parametrize("reset", ["1.5s", "2m", "12", "-1s", "soon", "9" * 400, "9" * 400 + "s"])
def test_invalid_rate_limit_headers_do_not_end_the_chat(retrying: Service, groq: SimulatedGroq, reset: str) -> None:
    headers = {"x-ratelimit-reset-tokens": reset, "x-ratelimit-limit-requests": "9" * 5000}
    groq.fail({"rate_limit_headers": headers})
    assert retrying.chat().done


@pytest.mark.parametrize("path", [PATH, DROP_IN])
@pytest.mark.parametrize(
    ("status", "body", "content_type", "message"),
    [
        (400, '{"error": "no such thing"}', "application/json", "no such thing"),
        (400, '[{"error": {"message": "in a list", "code": "c"}}]', "application/json", "in a list"),
        (400, '{"error": ["first", "second"]}', "application/json", "first"),
        (422, "plain words", "text/plain", "Groq answered with status 422 (text/plain)"),
        (
            502,
            "<html><head><title>502 Bad\n Gateway</title></head><script>x</script></html>",
            "text/html; charset=utf-8",
            "Groq answered with status 502 (text/html): 502 Bad Gateway",
        ),
    ],
)
def test_error_body_of_any_format_has_a_message(
    retrying: Service, groq: SimulatedGroq, status: int, body: str, content_type: str, message: str, path: str
) -> None:
    groq.fail({"status": status, "body": body, "content_type": content_type})
    reply = retrying.chat(path=path)
    assert reply.error["message"] == message
    assert reply.status == (503 if status >= 500 else status)


@pytest.mark.parametrize("path", [PATH, DROP_IN])
def test_unrequested_compression_is_decoded(retrying: Service, groq: SimulatedGroq, path: str) -> None:
    groq.fail({"gzip": True})
    reply = retrying.chat(path=path)
    assert reply.status == 200
    assert "content-encoding" not in reply.headers
    assert "You asked" in (reply.text if path == PATH else reply.json["choices"][0]["message"]["content"])
    groq.fail({"gzip": True, "status": 400})
    assert retrying.chat(path=path).status == 400


def test_media_types_are_case_insensitive(retrying: Service, groq: SimulatedGroq) -> None:
    groq.fail({"content_type": "Text/Event-Stream"})
    assert retrying.chat().done


@pytest.mark.parametrize("status", [408, 409, 425, 520, 524, 529])
def test_transient_status_is_retried(retrying: Service, groq: SimulatedGroq, status: int) -> None:
    groq.fail({"status": status, "times": 1})
    for path in (PATH, DROP_IN):
        assert retrying.chat(path=path).status == 200
        groq.fail({"status": status, "times": 1})


def test_missing_done_on_an_open_connection_ends_before_the_timeout(retrying: Service, groq: SimulatedGroq) -> None:
    """`INTER_TOKEN_TIMEOUT_S` is 30 s here."""
    groq.fail({"ending": "no_done", "hold_open_s": 20})
    reply = retrying.chat()
    assert reply.done
    row = retrying.row(reply.id)
    assert (row["outcome"], row["duration_ms"] < 10_000) == ("completed", True)


def test_failure_after_the_opening_chunk_is_retried(retrying: Service, groq: SimulatedGroq) -> None:
    for fault in ({"ending": "truncate"}, {"ending": "garbage"}, {"ending": "early_stop"}, {"ending": "eof"}):
        groq.fail({**fault, "after_tokens": 0, "times": 1})
        reply = retrying.chat()
        assert reply.done
        assert retrying.row(reply.id)["attempts"] == 2
    groq.fail({"ending": "error_event", "after_tokens": 0})
    assert retrying.chat().status == 400


@pytest.mark.parametrize("name", ["reasoning_content", "refusal", "something_new", "channel"])
def test_every_value_of_a_delta_counts_toward_the_answer_limit(
    retrying: Service, groq: SimulatedGroq, name: str
) -> None:
    groq.fail({"words": 5000, "tokens_per_s": 100_000, "patch_every": {f"choices.0.delta.{name}": "x" * 1000}})
    reply = retrying.chat()
    assert (reply.status, reply.error["message"]) == (200, "the answer is longer than 200000 bytes")
    assert len(reply.body) < 10**6


def test_stream_bytes_are_limited(retrying: Service, groq: SimulatedGroq) -> None:
    """A field beside the choices counts toward the stream's bytes only."""
    groq.fail({"words": 5000, "tokens_per_s": 100_000, "patch_every": {"filler": "x" * 1000}})
    reply = retrying.chat()
    assert (reply.status, reply.error["message"]) == (200, "Groq's stream is longer than 2000000 bytes")
    assert len(reply.body) < 4 * 10**6


def test_long_answer_below_the_limits_completes(retrying: Service, groq: SimulatedGroq) -> None:
    groq.fail({"words": 4000, "tokens_per_s": 100_000})
    assert retrying.chat().done


def test_cause_of_a_failed_connection_is_logged_and_stored_and_not_returned(
    groq: SimulatedGroq, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("unreachable")
    settings = {"GROQ_BASE_URL": "http://groq.invalid/v1", "GROQ_MAX_ATTEMPTS": "1"}
    with service_before(groq, folder, settings) as service:
        reply = service.chat(HELLO)
        assert (reply.status, reply.error["code"]) == (502, "upstream_unreachable")
        assert "dns" not in reply.body.decode().lower()
        assert service.finished_line(reply.id)["connection_failures"] == ["dns_failure"]
        (attempt,) = json.loads(service.row(reply.id)["attempt_log"])
        assert (attempt["cause"], attempt["result"]) == ("dns_failure", "upstream_unreachable")
        shown = service.http.get(f"{service.url}/page/chats/{reply.id}")
        assert shown.json()["attempt_log"][0]["result"] == "upstream_unreachable"
        assert "dns" not in shown.text.lower()
