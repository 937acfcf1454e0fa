"""An answer in one object obeys the script too, in the way that makes sense without a stream."""

import json
import time
from typing import Any

import pytest

from tests.simulator.test_wire import post, read
from tests.support.service import SimulatedGroq


def cut(groq: SimulatedGroq, fault: dict[str, Any]) -> bytes:
    """What comes of a body whose connection breaks."""
    groq.fail(fault)
    received, ended_well = read(groq)
    assert not ended_well
    return received


def test_the_connection_breaks_before_the_body_or_within_it(groq: SimulatedGroq) -> None:
    assert cut(groq, {"ending": "truncate"}) == b""
    some, more = (cut(groq, {"ending": "truncate", "after_tokens": tokens}) for tokens in (10, 40))
    assert 0 < len(some) < len(more)
    assert more.startswith(some[:10])
    assert b'"finish_reason"' not in more


def test_a_body_that_ends_early_looks_whole_to_http(groq: SimulatedGroq) -> None:
    groq.fail({"ending": "eof", "after_tokens": 10})
    response = post(groq)
    assert response.status_code == 200
    assert response.content
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        response.json()


def test_a_body_may_be_no_json(groq: SimulatedGroq) -> None:
    groq.fail({"ending": "garbage"})
    response = post(groq)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    with pytest.raises(ValueError, match=r"codec|Expecting|control"):
        json.loads(response.content)


def test_an_error_in_band_is_an_error_answer(groq: SimulatedGroq) -> None:
    groq.fail({"ending": "error_event", "after_tokens": 3, "times": 1}, {"ending": "error_event", "error": {"a": 1}})
    response = post(groq)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "tool_use_failed")
    assert post(groq).json() == {"error": {"a": 1}}


def test_an_answer_that_stopped_early_says_why(groq: SimulatedGroq) -> None:
    groq.fail({"ending": "early_stop"})
    answer = post(groq).json()
    assert answer["choices"][0]["finish_reason"] is None
    assert answer["x_groq"]["error"]


@pytest.mark.parametrize(
    "fault",
    [
        {"first_byte_delay_s": 0.6},
        {"first_token_delay_s": 0.6},
        {"silence_s": 0.6},
        {"silence_s": 0.6, "after_tokens": 20},
        {"words": 12, "reasoning_words": 0, "tokens_per_s": 20},
    ],
)
def test_it_takes_the_time_that_is_scripted(groq: SimulatedGroq, fault: dict[str, Any]) -> None:
    groq.fail(fault)
    began = time.monotonic()
    assert post(groq).json()["choices"][0]["finish_reason"] == "stop"
    assert time.monotonic() - began > 0.55


def test_the_headers_come_before_a_silence_and_a_part_of_the_body_may(groq: SimulatedGroq) -> None:
    groq.fail({"silence_s": 20, "after_tokens": 30})
    received, _ = read(groq)
    assert received.startswith(b'{"id":"chatcmpl-')
    assert b'"finish_reason"' not in received


def test_an_ending_after_the_last_token_never_comes(groq: SimulatedGroq) -> None:
    groq.fail({"ending": "truncate", "after_tokens": 100_000})
    assert post(groq).json()["choices"][0]["finish_reason"] == "stop"


def test_a_whole_answer_announces_its_length(groq: SimulatedGroq) -> None:
    response = post(groq)
    assert int(response.headers["content-length"]) == len(response.content)
