"""What Groq refuses is refused, as Groq refuses it. docs/groq.md has the sources."""

from typing import Any

import pytest

from app.simulator.models import DECOMMISSIONED
from tests.simulator.test_wire import AUTH, CLOCK, post
from tests.support.service import SimulatedGroq

QWEN, COMPOUND = "qwen/qwen3.6-27b", "groq/compound"
JSON = {"type": "json_object"}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
ASKS_FOR_JSON = {"messages": [{"role": "user", "content": "Answer in JSON."}]}


def said(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hi"}, *messages, {"role": "user", "content": "And?"}]}


@pytest.mark.parametrize("name", ["llama-3.1-8b-instant", "llama-3.3-70b-versatile", "qwen/qwen3-32b", "nobody", ["a"]])
def test_a_model_that_was_retired_is_as_unknown_as_one_that_never_was(groq: SimulatedGroq, name: Any) -> None:
    response = post(groq, model=name)
    assert response.status_code == 404
    assert response.json() == {
        "error": {
            "message": f"The model `{name}` does not exist or you do not have access to it.",
            "type": "invalid_request_error",
            "code": "model_not_found",
        }
    }


@pytest.mark.parametrize("name", sorted(DECOMMISSIONED))
def test_models_that_were_retired_longer_ago_have_a_refusal_of_their_own(groq: SimulatedGroq, name: str) -> None:
    response = post(groq, model=name)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "model_decommissioned")
    assert error["message"].startswith(f"The model `{name}` has been decommissioned and is no longer supported.")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "'messages'"),
    ({"messages": [{"role": "boss", "content": "Hi"}]}, "'messages.0.role'"),
    ({"logprobs": True}, "`logprobs` is not supported with this model"),
    ({"top_logprobs": 2}, "`top_logprobs` is not supported with this model"),
    ({"logit_bias": {"1": 1}}, "`logit_bias` is not supported with this model"),
    ({"top_k": 5}, "property 'top_k' is unsupported"),
    ({"safety_identifier": "somebody"}, "property 'safety_identifier' is unsupported"),
    ({"store": False}, "`store` is not supported with this model"),
    ({"store": True}, "`store` is not supported with this model"),
    ({"metadata": {"a": "b"}}, "`metadata` is not supported with this model"),
    ({"n": 2}, "'n'"),
    ({"stop": list("abcde")}, "'stop"),
    ({"tools": [CLOCK] * 129}, "'tools'"),
    ({"tools": [1]}, "'tools.0'"),
    ({"tools": [{"type": "function", "function": {}}]}, "'tools.0.function.name'"),
    ({"tool_choice": {"type": "function"}, "tools": [CLOCK]}, "'tool_choice"),
    ({"max_tokens": "many"}, "'max_tokens'"),
    ({"max_tokens": 65_537}, "`max_tokens` must be less than or equal to `65536`"),
    ({"max_completion_tokens": 16_385, "model": QWEN}, "`max_completion_tokens` must be less than or equal to `16384`"),
    ({"temperature": 9}, "'temperature'"),
    ({"stream_options": [1]}, "'stream_options'"),
    ({"service_tier": "premium"}, "'service_tier'"),
    ({"response_format": {"type": "yaml"}}, "'response_format'"),
    ({"response_format": {"type": "json_schema"}}, "'response_format.json_schema"),
    (said({"role": "user", "content": "Hi", "name": "ada"}), "'messages.1' : for 'role:user' the following"),
    (
        said({"role": "assistant", "content": "Hi", "reasoning_content": "Hm"}),
        "satisfied[('messages.1' : property 'reasoning_content' is unsupported)]",
    ),
    (ASKS_FOR_JSON | {"response_format": JSON, "stream": True}, "response_format` does not support streaming"),
    (ASKS_FOR_JSON | {"response_format": SCHEMA, "stream": True}, "response_format` does not support streaming"),
    (ASKS_FOR_JSON | {"response_format": JSON, "tools": [CLOCK]}, "json mode cannot be combined with tool"),
    ({"response_format": JSON}, "'messages' must contain the word 'json' in some form"),
    ({"reasoning_format": "parsed", "model": COMPOUND}, "`reasoning_format` is not supported with this model"),
    (
        {"reasoning_format": "parsed", "include_reasoning": True},
        "cannot specify both `include_reasoning` and `reasoning_format`",
    ),
    ({"reasoning_format": "raw", "model": QWEN, "tools": [CLOCK]}, "`reasoning_format` must be"),
    (
        ASKS_FOR_JSON | {"reasoning_format": "raw", "model": QWEN, "response_format": JSON},
        "`reasoning_format` must be",
    ),
    ({"reasoning_effort": "none"}, "`reasoning_effort` must be one of `low`, `medium`, or `high`"),
    ({"reasoning_effort": "high", "model": QWEN}, "`reasoning_effort` must be one of `none` or `default`"),
    ({"reasoning_effort": "low", "model": COMPOUND}, "`reasoning_effort` is not supported with this model"),
    ({"reasoning_effort": "extreme"}, "'reasoning_effort' : value is not one of the allowed values ['none',"),
]


@pytest.mark.parametrize(("body", "words"), REFUSED)
def test_what_groq_refuses_is_refused(groq: SimulatedGroq, body: dict[str, Any], words: str) -> None:
    response = post(groq, **body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert words in error["message"]
    assert error.get("code") is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"store": False}, "store"),
        ({"reasoning_format": "raw", "model": COMPOUND}, "reasoning_format"),
        ({"max_tokens": 65_537}, "max_tokens"),
        ({"top_k": 5}, None),
    ],
)
def test_some_refusals_name_the_parameter(groq: SimulatedGroq, body: dict[str, Any], param: str | None) -> None:
    assert post(groq, **body).json()["error"].get("param") == param


TAKEN: list[dict[str, Any]] = [
    {"store": None, "metadata": None, "logprobs": False},
    {"user": "me", "service_tier": "flex", "parallel_tool_calls": False, "frequency_penalty": 0.5},
    {"reasoning_effort": "low"},
    {"reasoning_format": "hidden"},
    {"include_reasoning": True},
    {"reasoning_effort": "none", "model": QWEN},
    {"reasoning_effort": "high", "model": "qwen/qwen3.8-27b"},
    {"response_format": {"type": "text"}, "stream": True},
    ASKS_FOR_JSON | {"response_format": JSON},
    {"response_format": SCHEMA},
    said({"role": "assistant", "content": "Hi", "reasoning": "Hm"}),
    said({"role": "tool", "content": "sunny", "tool_call_id": "1", "name": "weather"}),
]


@pytest.mark.parametrize("body", TAKEN)
def test_what_groq_takes_is_taken(groq: SimulatedGroq, body: dict[str, Any]) -> None:
    assert post(groq, **body).status_code == 200


@pytest.mark.parametrize(("body", "words"), [("{", "could not parse"), ("[]", "must be a JSON object")])
def test_a_body_that_is_no_object_is_refused(groq: SimulatedGroq, body: str, words: str) -> None:
    response = groq.http.post(f"{groq.url}/chat/completions", content=body, headers=AUTH)
    assert (response.status_code, words in response.json()["error"]["message"]) == (400, True)


def test_without_a_key_nothing_is_answered(groq: SimulatedGroq) -> None:
    refused = [
        post(groq, headers={"x": "y"}),
        post(groq, headers={"authorization": "Bearer wrong"}),
        groq.http.get(f"{groq.url}/models"),
    ]
    for response in refused:
        assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
        assert not [name for name in response.headers if name.startswith("x-ratelimit")]
