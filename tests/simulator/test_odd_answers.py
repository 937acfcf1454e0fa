"""Answers of a kind that a well-behaved Groq never gives: odd headers, bodies, encodings and types."""

import json
from typing import Any

import pytest

from app.simulator.wire import patched
from tests.simulator.test_wire import AUTH, HI, deltas, post, read, stream
from tests.support.service import SimulatedGroq

DONE = b"data: [DONE]\n\n"
HTML = "<html><body>error code: 520</body></html>"


@pytest.mark.parametrize(
    "value", ["Wed, 21 Oct 2026 07:28:00 GMT", "1.5", "0", "-3", "soon", "9" * 400, "", "  2  ", "1e400"]
)
def test_retry_after_says_what_is_scripted(groq: SimulatedGroq, value: str) -> None:
    groq.fail({"status": 429, "retry_after": value, "retry_after_s": 7})
    assert post(groq).headers.get("retry-after", "") == value.strip()


def test_rate_limit_headers_are_overridden_or_left_out(groq: SimulatedGroq) -> None:
    odd = {
        "x-ratelimit-reset-tokens": "soon",
        "x-ratelimit-limit-requests": "",
        "x-ratelimit-reset-requests": "9" * 400,
    }
    groq.fail({"rate_limit_headers": odd})
    headers = post(groq).headers
    assert headers["x-ratelimit-reset-tokens"] == "soon"
    assert headers["x-ratelimit-reset-requests"] == "9" * 400
    assert "x-ratelimit-limit-requests" not in headers
    assert headers["x-ratelimit-remaining-tokens"].isdecimal()


@pytest.mark.parametrize("body", [HTML, '{"error": "text"}', '[{"error": {"message": "a"}}]', "", "null", '"text"'])
@pytest.mark.parametrize("status", [520, None])
@pytest.mark.parametrize("streams", [True, False])
def test_any_body_with_any_type(groq: SimulatedGroq, body: str, status: int | None, *, streams: bool) -> None:
    fault: dict[str, Any] = {"body": body, "content_type": "text/html; charset=UTF-8"}
    groq.fail(fault | ({} if status is None else {"status": status}))
    response = post(groq, stream=streams)
    assert (response.status_code, response.text) == (status or 200, body)
    assert response.headers["content-type"] == "text/html; charset=UTF-8"


@pytest.mark.parametrize("fault", [{"status": 503}, {"body": HTML}, {}])
@pytest.mark.parametrize("streams", [True, False])
def test_anything_may_be_compressed(groq: SimulatedGroq, fault: dict[str, Any], *, streams: bool) -> None:
    groq.fail(fault | {"gzip": True, "bytes_per_write": 7})
    body, plain = HI | {"stream": streams}, AUTH | {"accept-encoding": "identity"}
    with groq.http.stream("POST", f"{groq.url}/chat/completions", json=body, headers=plain) as response:
        raw = b"".join(response.iter_raw())
    assert response.headers["content-encoding"] == "gzip"
    assert raw.startswith(b"\x1f\x8b")
    groq.fail(fault | {"gzip": True})
    read = post(groq, stream=streams)
    assert read.text == HTML if "body" in fault else read.text.startswith(("data: {", "{"))


@pytest.mark.parametrize("media_type", ["Text/Event-Stream", "text/event-stream;charset=utf-8", "application/json"])
def test_a_stream_may_be_called_anything(groq: SimulatedGroq, media_type: str) -> None:
    groq.fail({"content_type": media_type})
    response = post(groq, stream=True)
    assert response.headers["content-type"] == media_type
    assert response.text.endswith("data: [DONE]\n\n")


PATCH: dict[str, Any] = {
    "id": 123,
    "usage.prompt_tokens": 3.0,
    "x_groq.usage": [],
    "service_tier": {"a": 1},
    "choices.0.delta.content": [{"type": "text", "text": "a"}],
    "choices.5.delta": {},
    "new.path": None,
}


def test_a_patch_changes_the_end_of_a_stream_alone(groq: SimulatedGroq) -> None:
    groq.fail({"patch": PATCH})
    *begun, last, usage = stream(groq, stream_options={"include_usage": True})
    assert all(isinstance(chunk["id"], str) and "new" not in chunk for chunk in begun)
    assert (last["id"], last["x_groq"]["usage"], last["service_tier"]) == (123, [], {"a": 1})
    assert last["choices"][0]["delta"] == {"content": [{"type": "text", "text": "a"}]}
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["new"] == {"path": None}
    assert (usage["id"], usage["choices"], usage["usage"]["prompt_tokens"]) == (123, [], 3.0)
    groq.fail({"patch": {"usage.prompt_tokens": 3.0}})
    last = stream(groq)[-1]
    assert (last["usage"]["prompt_tokens"], type(last["x_groq"]["usage"]["prompt_tokens"])) == (3.0, int)
    assert '"prompt_tokens":3.0' in post(groq, stream=True).text


def test_a_patch_may_change_every_chunk(groq: SimulatedGroq) -> None:
    groq.fail({"patch_every": {"id": None, "choices.0.delta.content": 5}, "patch": {"id": 1}})
    *begun, last = stream(groq)
    assert {chunk["id"] for chunk in begun} == {None}
    assert {delta["content"] for delta in deltas([*begun, last])} == {5}
    assert last["id"] == 1


def test_a_patch_replaces_elements_that_exist() -> None:
    assert patched({"a": [1, 2]}, {"a.1": 3, "a.2": 4, "a.b": 5}) == {"a": [1, 3]}


def test_an_answer_in_one_object_is_patched_too(groq: SimulatedGroq) -> None:
    groq.fail({"patch": {"choices.0.message.content": ["a"], "usage": None}, "patch_every": {"id": 1}})
    answer = post(groq).json()
    assert (answer["choices"][0]["message"]["content"], answer["usage"], answer["id"]) == (["a"], None, 1)
    groq.recover()
    assert isinstance(post(groq).json()["usage"], dict)


def test_a_connection_may_stay_open_after_the_last_chunk(groq: SimulatedGroq) -> None:
    groq.fail({"ending": "no_done", "hold_open_s": 20, "words": 3})
    left = groq.seen()["left"]
    received, ended = read(groq, stream=True)
    assert b'"finish_reason":"stop"' in received
    assert (DONE in received, ended) == (False, False)
    groq.wait_until_left(left + 1)
    groq.fail({"hold_open_s": 20})
    received, _ = read(groq, stream=True, until=DONE)
    assert received.endswith(DONE)
    groq.wait_until_left(left + 2)


@pytest.mark.parametrize("ending", ["silence", "error_event", "early_stop", "truncate", "eof", "garbage"])
def test_with_no_token_before_it_an_ending_follows_the_opening_chunk(groq: SimulatedGroq, ending: str) -> None:
    groq.fail({"silence_s": 20} if ending == "silence" else {"ending": ending})
    received, ended_well = read(groq, stream=True)
    assert ended_well == (ending not in ("silence", "truncate"))
    opening, _, rest = received.partition(b"\n\n")
    assert json.loads(opening[6:])["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert (rest == b"") == (ending in ("silence", "eof"))
    assert b'"finish_reason":"stop"' not in rest


@pytest.mark.parametrize(("words", "found"), [(0, 0), (3, 3), (40, 40)])
@pytest.mark.parametrize("model", ["openai/gpt-oss-20b", "qwen/qwen3.6-27b"])
def test_reasoning_is_as_long_as_it_is_scripted(groq: SimulatedGroq, model: str, words: int, found: int) -> None:
    groq.fail({"reasoning_words": words, "words": 5})
    chunks = stream(groq, model=model, include_reasoning=True)
    assert sum("reasoning" in delta for delta in deltas(chunks)) == found
    assert sum(bool(delta.get("content")) for delta in deltas(chunks)) == 5
    assert chunks[-1]["usage"]["completion_tokens"] == found + 5
    hidden = post(groq, model=model, include_reasoning=False).json()["usage"]
    assert hidden["completion_tokens"] == found + 5


def test_raw_reasoning_is_switched_off_too(groq: SimulatedGroq) -> None:
    groq.fail({"reasoning_words": 0})
    assert "<think>" not in post(groq, model="qwen/qwen3.6-27b").json()["choices"][0]["message"]["content"]


def test_a_refusal_takes_the_place_of_the_answer(groq: SimulatedGroq) -> None:
    groq.fail({"refusal": "I cannot help with that.", "reasoning_words": 0})
    message = post(groq).json()["choices"][0]["message"]
    assert message == {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    chunks = stream(groq)
    assert "".join(delta.get("refusal", "") for delta in deltas(chunks)) == "I cannot help with that."
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] == 5


def test_the_list_of_models_fails_by_script_and_by_itself(groq: SimulatedGroq) -> None:
    groq.fail({"endpoint": "models", "status": 404, "times": 1}, {"endpoint": "models", "body": HTML})
    before = groq.seen()["model_lists"]
    assert groq.http.get(f"{groq.url}/models", headers=AUTH).status_code == 404
    assert groq.http.get(f"{groq.url}/models", headers=AUTH).text == HTML
    assert post(groq).status_code == 200
    assert groq.seen()["model_lists"] == before + 2
