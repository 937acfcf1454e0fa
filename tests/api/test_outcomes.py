"""The outcomes of chats when Groq fails or the client disconnects."""

import json
import socket
from typing import Any

import pytest

from tests.support.database import query
from tests.support.service import HELLO, PATH, Service, SimulatedGroq
from tests.support.waiting import wait_until


@pytest.mark.parametrize(
    ("fault", "status", "code", "outcome"),
    [
        ({"status": 400}, 400, "upstream_rejected", "upstream_rejected"),
        ({"status": 401}, 502, "upstream_refused_key", "upstream_error"),
        ({"status": 413}, 413, "rate_limit_exceeded", "upstream_rejected"),
        ({"status": 429, "retry_after_s": 600}, 429, "rate_limit_exceeded", "upstream_rate_limited"),
        ({"status": 500}, 503, "upstream_unavailable", "upstream_error"),
        ({"ending": "error_event"}, 400, "tool_use_failed", "upstream_rejected"),
        ({"ending": "garbage"}, 502, "upstream_broken", "upstream_error"),
    ],
)
def test_failure_before_the_first_byte_has_a_status_and_a_row(
    service: Service, groq: SimulatedGroq, fault: dict[str, Any], status: int, code: str, outcome: str
) -> None:
    groq.fail({**fault, "model": "groq/compound"})  # this model sends no opening chunk
    reply = service.chat({**HELLO, "model": "groq/compound"})
    assert (reply.status, reply.error["code"]) == (status, code)
    assert set(reply.error) >= {"message", "type", "code", "param"}
    row = service.row(reply.id)
    assert (row["outcome"], row["http_status"]) == (outcome, status)
    assert (row["response"], row["usage_source"]) == (None, None)


def test_error_of_groq_is_returned_with_its_message(service: Service) -> None:
    reply = service.chat({**HELLO, "model": "no-such-model"})
    assert reply.status == 404
    assert reply.error["code"] == "model_not_found"
    assert reply.error["message"] == "The model `no-such-model` does not exist or you do not have access to it."


def test_rate_limit_beyond_the_sleep_budget_is_not_retried(service: Service, groq: SimulatedGroq) -> None:
    groq.fail({"status": 429, "retry_after_s": 600})
    before = groq.seen()["requests"]
    reply = service.chat()
    assert reply.headers["retry-after"] == "600"
    assert groq.seen()["requests"] == before + 1


def test_client_does_not_see_failures_that_a_retry_solves(service: Service, groq: SimulatedGroq) -> None:
    groq.fail({"status": 503, "times": 1}, {"status": 429, "retry_after_s": 0, "times": 1})
    reply = service.chat()
    assert reply.done
    assert service.row(reply.id)["attempts"] == 3


@pytest.mark.parametrize(
    ("fault", "code", "outcome"),
    [
        ({"ending": "error_event"}, "tool_use_failed", "upstream_rejected"),
        ({"ending": "early_stop"}, "upstream_broken", "upstream_error"),
        ({"ending": "truncate"}, "upstream_broken", "upstream_error"),
        ({"ending": "eof"}, "upstream_broken", "upstream_error"),
        ({"ending": "garbage"}, "upstream_broken", "upstream_error"),
        ({"silence_s": 30}, "upstream_timeout", "upstream_timeout"),
    ],
)
def test_failure_after_the_first_byte_is_one_error_event_without_done(
    service: Service, groq: SimulatedGroq, fault: dict[str, Any], code: str, outcome: str
) -> None:
    groq.fail({**fault, "after_tokens": 5})
    reply = service.chat()
    assert reply.status == 200
    assert not reply.done
    assert reply.events[-1].startswith("event: error\n")
    assert sum(event.startswith("event: error") for event in reply.events) == 1
    assert reply.error["code"] == code
    row = service.row(reply.id)
    assert (row["outcome"], row["http_status"], row["usage_source"]) == (outcome, 200, "estimated")
    assert (row["response"] or "") == reply.text
    assert row["completion_tokens"] == 5


def test_disconnect_closes_the_request_to_groq_and_stores_a_row(service: Service, groq: SimulatedGroq) -> None:
    groq.fail({"tokens_per_s": 20})
    disconnects = groq.seen()["left"]
    with service.http.stream("POST", service.url + PATH, json=HELLO) as response:
        chat_id = response.headers["x-request-id"]
        read = b""
        for piece in response.iter_raw():
            read += piece
            if read.count(b"data:") > 3:
                break
    row = service.row_in_time(chat_id)
    assert row["outcome"] == "client_disconnected"
    assert row["usage_source"] == "estimated"
    assert row["reasoning"].startswith("The user")
    groq.wait_until_left(disconnects + 1)


def test_disconnect_before_the_first_byte_stores_a_row(service: Service, groq: SimulatedGroq) -> None:
    groq.fail({"first_byte_delay_s": 20})
    before = groq.seen()["requests"]
    host, port = service.url.removeprefix("http://").split(":")
    body = json.dumps({"messages": [{"role": "user", "content": "client disconnects early"}]}).encode()
    with socket.create_connection((host, int(port))) as client:
        head = [f"POST {PATH} HTTP/1.1", "host: x", "content-type: application/json", f"content-length: {len(body)}"]
        client.sendall("\r\n".join([*head, "", ""]).encode() + body)
        wait_until(lambda: groq.seen()["requests"] > before, "Groq receives no request")
    sql = "SELECT * FROM chat_logs WHERE prompt = 'client disconnects early'"
    rows = wait_until(lambda: query(service.database_url, sql), "there is no row")
    assert (rows[0]["outcome"], rows[0]["http_status"]) == ("client_disconnected", 499)
    assert (rows[0]["usage_source"], rows[0]["prompt_tokens"], rows[0]["completion_tokens"]) == (
        "estimated",
        len(body) // 4,
        0,
    )
