"""The exceptions of OpenAI's client, and the rows of the failed chats."""

import time
from typing import Any

import pytest
from openai import (
    APIError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    RateLimitError,
)

from tests.support.openai_client import HEADERS, HI, MODEL, openai_client
from tests.support.service import DROP_IN, HELLO, Service, SimulatedGroq

FAILURES_AFTER_FIVE_TOKENS: Any = [
    ({"ending": "error_event"}, 400, "tool_use_failed", "upstream_rejected"),
    ({"ending": "early_stop"}, 502, "upstream_broken", "upstream_error"),
    ({"ending": "truncate"}, 502, "upstream_broken", "upstream_error"),
    ({"ending": "eof"}, 502, "upstream_broken", "upstream_error"),
    ({"ending": "garbage"}, 502, "upstream_broken", "upstream_error"),
    ({"silence_s": 30}, 504, "upstream_timeout", "upstream_timeout"),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "parameters", "kind", "code"),
    [
        ({}, {"messages": []}, BadRequestError, "invalid_request"),
        ({}, {"model": "no-such-model"}, NotFoundError, "model_not_found"),
        ({}, {"n": 3}, BadRequestError, "upstream_rejected"),
        ({"status": 413}, {}, APIStatusError, "rate_limit_exceeded"),
        ({"status": 429, "retry_after_s": 600}, {}, RateLimitError, "rate_limit_exceeded"),
        ({"status": 503}, {}, InternalServerError, "upstream_unavailable"),
        ({"status": 401}, {}, InternalServerError, "upstream_refused_key"),
    ],
)
def test_error_status_raises_the_matching_exception(
    openai: OpenAI, groq: SimulatedGroq, stream: Any, fault: dict[str, Any], parameters: Any, kind: type, code: str
) -> None:
    groq.fail(fault)
    with pytest.raises(kind) as caught:
        openai.chat.completions.create(**{"model": MODEL, "messages": HI} | parameters, stream=stream)
    assert isinstance(caught.value, APIStatusError)
    assert caught.value.code == code
    assert caught.value.request_id


def test_wrong_key_and_unknown_path_raise_different_exceptions(compat: Service, openai: OpenAI) -> None:
    with openai_client(compat, key="wrong") as stranger, pytest.raises(AuthenticationError) as refused:
        stranger.chat.completions.create(model=MODEL, messages=HI)
    assert refused.value.code == "invalid_api_key"
    with pytest.raises(NotFoundError, match="there is no POST /v1/embeddings"):
        openai.embeddings.create(model=MODEL, input="Hi")


def test_stream_options_without_stream_are_refused(openai: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="'stream': true") as caught:
        openai.chat.completions.create(model=MODEL, messages=HI, stream_options={"include_usage": True})
    assert caught.value.param == "stream_options"


@pytest.mark.parametrize(("fault", "status", "code", "outcome"), FAILURES_AFTER_FIVE_TOKENS)
def test_stream_that_fails_after_the_first_token_raises(
    openai: OpenAI, compat: Service, groq: SimulatedGroq, fault: Any, status: int, code: str, outcome: str
) -> None:
    """The client raises for an error event only: not for a stream that just ends."""
    groq.fail({**fault, "after_tokens": 5})
    stream, contents = openai.chat.completions.create(model=MODEL, messages=HI, stream=True), list[str]()
    with pytest.raises(APIError) as caught:
        contents.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    assert not isinstance(caught.value, APIStatusError)
    assert caught.value.code == code
    row = compat.row(stream.response.headers["x-request-id"])
    assert (row["outcome"], row["http_status"]) == (outcome, 200)


@pytest.mark.parametrize("stream", [True, False])
def test_client_retry_waits_for_retry_after(compat: Service, groq: SimulatedGroq, stream: Any) -> None:
    """`Retry-After` exceeds the sleep budget of the service, which therefore returns it."""
    groq.fail({"status": 429, "retry_after_s": 2, "times": 1})
    before, began = groq.seen()["requests"], time.monotonic()
    with openai_client(compat, retries=1) as client:
        answer = client.chat.completions.create(model=MODEL, messages=HI, stream=stream)
        assert not stream or list(answer)
    assert time.monotonic() - began >= 2
    assert groq.seen()["requests"] == before + 2


def test_keepalives_and_silence_are_invisible_to_the_client(
    compat: Service, openai: OpenAI, groq: SimulatedGroq
) -> None:
    """A stream has comments meanwhile; a response that has not started has nothing."""
    groq.fail({"silence_s": 0.5, "after_tokens": 5})
    assert ": waiting" in compat.chat({**HELLO, "stream": True}, headers=HEADERS, path=DROP_IN).events
    *_, last = openai.chat.completions.create(model=MODEL, messages=HI, stream=True)
    assert last.choices[0].finish_reason == "stop"
    assert openai.chat.completions.create(model=MODEL, messages=HI).choices[0].finish_reason == "stop"
