"""What OpenAI's own client raises when something goes wrong, and what the row says of it."""

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

from tests.support.drop_in import HI, MODEL, client_of
from tests.support.service import Service, SimulatedGroq

IN_THE_MIDDLE: Any = [
    ({"ending": "error_event"}, 400, "tool_use_failed", "upstream_rejected"),
    ({"ending": "early_stop"}, 502, "upstream_broken", "upstream_error"),
    ({"ending": "truncate"}, 502, "upstream_broken", "upstream_error"),
    ({"ending": "eof"}, 502, "upstream_broken", "upstream_error"),
    ({"ending": "garbage"}, 502, "upstream_broken", "upstream_error"),
    ({"silence_s": 30}, 504, "upstream_timeout", "upstream_timeout"),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "asked", "kind", "code"),
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
def test_a_refusal_is_the_exception_that_openai_s_would_be(
    openai: OpenAI, groq: SimulatedGroq, stream: Any, fault: dict[str, Any], asked: Any, kind: type, code: str
) -> None:
    groq.fail(fault)
    with pytest.raises(kind) as caught:
        openai.chat.completions.create(**{"model": MODEL, "messages": HI} | asked, stream=stream)
    assert isinstance(caught.value, APIStatusError)
    assert caught.value.code == code
    assert caught.value.request_id


def test_a_wrong_key_and_a_wrong_address_are_told_apart(drop_in: Service, openai: OpenAI) -> None:
    with client_of(drop_in, key="wrong") as stranger, pytest.raises(AuthenticationError) as refused:
        stranger.chat.completions.create(model=MODEL, messages=HI)
    assert refused.value.code == "invalid_api_key"
    with pytest.raises(NotFoundError, match="there is no POST /v1/embeddings"):
        openai.embeddings.create(model=MODEL, input="Hi")


def test_options_of_a_stream_without_one_are_refused_as_openai_does(openai: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="'stream': true") as caught:
        openai.chat.completions.create(model=MODEL, messages=HI, stream_options={"include_usage": True})
    assert caught.value.param == "stream_options"


@pytest.mark.parametrize(("fault", "status", "code", "outcome"), IN_THE_MIDDLE)
def test_a_stream_that_fails_in_the_middle_raises(
    openai: OpenAI, drop_in: Service, groq: SimulatedGroq, fault: Any, status: int, code: str, outcome: str
) -> None:
    """The client raises nothing for a stream that merely ends: the error event is what tells it."""
    groq.fail({**fault, "after_tokens": 5})
    stream, came = openai.chat.completions.create(model=MODEL, messages=HI, stream=True), list[str]()
    with pytest.raises(APIError) as caught:
        came.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    assert not isinstance(caught.value, APIStatusError)
    assert caught.value.code == code
    row = drop_in.row(stream.response.headers["x-request-id"])
    assert (row["outcome"], row["http_status"]) == (outcome, 200)


@pytest.mark.parametrize("stream", [True, False])
def test_the_client_s_own_retry_waits_as_it_is_told(drop_in: Service, groq: SimulatedGroq, stream: Any) -> None:
    """Groq's `Retry-After` is longer than the service may wait itself, so it is passed on."""
    groq.fail({"status": 429, "retry_after_s": 2, "times": 1})
    before, began = groq.seen()["requests"], time.monotonic()
    with client_of(drop_in, retries=1) as client:
        answer = client.chat.completions.create(model=MODEL, messages=HI, stream=stream)
        assert not stream or list(answer)
    assert time.monotonic() - began >= 2
    assert groq.seen()["requests"] == before + 2


def test_a_silence_is_no_event_for_the_client(openai: OpenAI, groq: SimulatedGroq) -> None:
    """Comments bridge it in a stream; an answer that has not begun has nothing to bridge it with."""
    groq.fail({"silence_s": 0.7, "after_tokens": 5})
    *_, last = openai.chat.completions.create(model=MODEL, messages=HI, stream=True)
    assert last.choices[0].finish_reason == "stop"
    assert openai.chat.completions.create(model=MODEL, messages=HI).choices[0].finish_reason == "stop"
