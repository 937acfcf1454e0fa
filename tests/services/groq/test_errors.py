"""Groq's error responses as errors of the service."""

from typing import Any

import msgspec
import pytest

from app.core.errors import ServiceError
from app.core.upstream import (
    UpstreamBroken,
    UpstreamKeyRefused,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamUnavailable,
)
from app.services.chat.block import Block
from app.services.groq.errors import Redactor, error_from_event, error_from_status


@pytest.mark.parametrize(
    ("status", "kind", "answered", "retryable"),
    [
        (400, UpstreamRejected, 400, False),
        (401, UpstreamKeyRefused, 502, False),
        (403, UpstreamKeyRefused, 502, False),
        (404, UpstreamRejected, 404, False),
        (413, UpstreamRejected, 413, False),
        (422, UpstreamRejected, 422, False),
        (424, UpstreamRejected, 424, False),
        (408, UpstreamUnavailable, 503, True),
        (409, UpstreamUnavailable, 503, True),
        (425, UpstreamUnavailable, 503, True),
        (429, UpstreamRateLimited, 429, True),
        (498, UpstreamUnavailable, 503, True),
        (500, UpstreamUnavailable, 503, True),
        (502, UpstreamUnavailable, 503, True),
        (503, UpstreamUnavailable, 503, True),
        (504, UpstreamUnavailable, 503, True),
        *((status, UpstreamUnavailable, 503, True) for status in range(520, 530)),
    ],
)
def test_every_status_has_an_error(status: int, kind: type[ServiceError], answered: int, *, retryable: bool) -> None:
    error = error_from_status(status, {"message": "m", "type": "t"})
    assert type(error) is kind
    assert (error.status, error.retryable) == (answered, retryable)


def test_code_that_is_no_text_is_passed_on() -> None:
    error = error_from_status(400, {"message": "m", "code": {"a": 1}}, configured_model=True)
    assert type(error) is UpstreamRejected


def test_a_message_about_the_service_s_key_is_not_passed_on() -> None:
    error = error_from_status(401, {"message": "Invalid API Key gsk_123", "code": "invalid_api_key"})
    assert "gsk_123" not in str(error.envelope())
    assert error.envelope()["error"]["code"] == "upstream_refused_key"


def test_an_error_about_the_request_is_passed_on_whole() -> None:
    error = {"message": "m", "type": "invalid_request_error", "code": "tool_use_failed", "failed_generation": "<f>"}
    assert error_from_status(400, error).envelope()["error"] == {**error, "param": None}


def test_an_error_that_cannot_be_encoded_is_passed_on_without_its_body() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"x": deep}
    for error in ({"message": "bad \ud800", "code": "\udfff"}, {"message": "m", "x": float("nan")}, deep):
        msgspec.json.encode(error_from_status(400, error).envelope())
    assert error_from_status(400, {"message": None}).envelope()["error"]["message"] == "Groq answered with status 400"


def test_the_key_in_the_reason_of_an_early_stop_is_replaced() -> None:
    block = Block(data=b'{"error":"my-secret-key is exhausted"}', early_stop="my-secret-key is exhausted")
    Redactor("my-secret-key").redact_block(block)
    assert (block.early_stop, block.data) == (
        "(the key of this service) is exhausted",
        b'{"error":"(the key of this service) is exhausted"}',
    )


def test_an_error_in_a_stream_may_be_a_text_or_lack_a_status() -> None:
    assert error_from_event("over").message == "over"
    assert type(error_from_event({"message": "odd"})) is UpstreamBroken
    assert type(error_from_event({"message": "odd", "status_code": "500"})) is UpstreamBroken
