"""OpenAI's client for Python, with only its base URL and its key changed."""

import json
import re
import time
from typing import Any

import pytest
from openai import AsyncOpenAI, AuthenticationError, BadRequestError, NotFoundError, OpenAI

from app.core.models import RETIRED_MODELS
from tests.support.openai_client import HEADERS, HI, KEY, MODEL, REASONING, TOOLS, openai_client
from tests.support.processes import PROJECT
from tests.support.service import DROP_IN, HELLO, Service, SimulatedGroq


def test_stream_is_read_and_its_row_is_stored(compat: Service, openai: OpenAI) -> None:
    with openai.chat.completions.create(model=MODEL, messages=HI, stream=True) as stream:
        chunks = list(stream)
        chat_id = stream.response.headers["x-request-id"]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text.startswith("You asked: “Hello”.")
    assert chunks[-1].choices[0].finish_reason == "stop"
    row = compat.row(chat_id)
    assert (row["response"], row["client"], row["outcome"]) == (text, "me", "completed")


def test_both_paths_stream_the_same_events(compat: Service) -> None:
    ours = compat.chat({**HELLO, "seed": 1}, headers=HEADERS)
    theirs = compat.chat({**HELLO, "seed": 1, "stream": True}, headers=HEADERS, path=DROP_IN)
    assert [chunk["choices"] for chunk in theirs.chunks] == [chunk["choices"] for chunk in ours.chunks]
    assert theirs.done
    names = ("content-type", "cache-control", "x-accel-buffering")
    assert [theirs.headers[name] for name in names] == [ours.headers[name] for name in names]


def test_completion_without_stream_equals_its_row(compat: Service, openai: OpenAI) -> None:
    answer = openai.chat.completions.create(model=MODEL, messages=HI, temperature=0.5)
    row = compat.row(str(answer._request_id))
    (choice,) = answer.choices
    assert choice.message.content == row["response"]
    assert choice.message.content
    assert choice.message.content.startswith("You asked: “Hello”.")
    assert (answer.object, choice.index, choice.message.role, choice.finish_reason) == (
        "chat.completion", 0, "assistant", "stop",
    )  # fmt: skip
    assert answer.usage
    assert answer.usage.prompt_tokens == row["prompt_tokens"]
    assert answer.usage.completion_tokens == row["completion_tokens"]
    assert answer.usage.total_tokens == row["prompt_tokens"] + row["completion_tokens"]
    assert (answer.service_tier, answer.system_fingerprint) == ("on_demand", "fp_5150515051")
    assert answer.model == row["model_name"] == MODEL
    assert time.time() - 60 < answer.created < time.time() + 60
    assert json.loads(row["params"]) == {"temperature": 0.5, "stream": False}
    line = compat.finished_line(str(answer._request_id))
    assert (line["streamed"], line["route"], line["client"]) == (False, DROP_IN, "me")
    assert line["ttft_ms"] is None


def test_tool_calls_are_the_same_with_and_without_stream(openai: OpenAI) -> None:
    with openai.chat.completions.stream(model=MODEL, messages=HI, tools=TOOLS, seed=3) as stream:
        streamed = stream.get_final_completion()
    whole = openai.chat.completions.create(model=MODEL, messages=HI, tools=TOOLS, seed=3)
    assert whole.choices[0].finish_reason == streamed.choices[0].finish_reason == "tool_calls"
    messages: list[Any] = [each.choices[0].message.to_dict() for each in (whole, streamed)]
    calls = [message["tool_calls"] for message in messages]
    assert [call["function"]["name"] for call in calls[0]] == ["weather", "news"]
    assert whole.choices[0].message.content is None
    for ours, accumulated in zip(*calls, strict=True):
        assert ours["id"] == accumulated["id"]
        assert ours["function"]["arguments"] == accumulated["function"]["arguments"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "sunny"} for call in calls[0]]
    messages = [*HI, messages[0], *results]
    last = openai.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
    assert last.choices[0].finish_reason == "stop"


def test_reasoning_is_returned_beside_the_content(openai: OpenAI) -> None:
    whole: Any = openai.chat.completions.create(model=REASONING, messages=HI).choices[0].message
    assert whole.reasoning.startswith("The user wants")
    assert whole.content.startswith("You asked")
    stream = openai.chat.completions.create(model=REASONING, messages=HI, stream=True)
    deltas = [chunk.choices[0].delta.to_dict() for chunk in stream]
    assert "".join(str(delta.get("reasoning", "")) for delta in deltas) == whole.reasoning


def test_include_usage_adds_a_chunk_with_usage(openai: OpenAI) -> None:
    options: Any = {"include_usage": True}
    *_, last = openai.chat.completions.create(model=MODEL, messages=HI, stream=True, stream_options=options)
    assert (last.choices, last.usage is not None) == ([], True)


async def test_asynchronous_client_works(compat: Service) -> None:
    async with AsyncOpenAI(base_url=f"{compat.url}/v1", api_key=KEY, max_retries=0) as client:
        stream = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
        assert [chunk.choices[0].finish_reason async for chunk in stream][-1] == "stop"
        answer = await client.chat.completions.create(model=MODEL, messages=HI)
        assert answer.choices[0].finish_reason == "stop"


def test_unknown_parameters_are_forwarded(openai: OpenAI, groq: SimulatedGroq) -> None:
    beside: Any = {"parallel_tool_calls": False, "user": "me", "seed": 1}
    openai.chat.completions.create(model=MODEL, messages=HI, max_tokens=8, **beside)
    sent = groq.seen()["last_request"]["body"]
    assert sent == {"model": MODEL, "messages": HI, "max_tokens": 8, **beside}
    groqs = {"search_settings": {"country": "france"}}
    openai.chat.completions.create(model=MODEL, messages=HI, stream=True, extra_body=groqs).close()
    assert groq.seen()["last_request"]["body"] == {"model": MODEL, "messages": HI, "stream": True, **groqs}


def test_fields_for_the_service_are_not_forwarded(openai: OpenAI, groq: SimulatedGroq) -> None:
    openai.chat.completions.create(model=MODEL, messages=HI, store=False, safety_identifier="somebody", user="me")
    assert groq.seen()["last_request"]["body"] == {"model": MODEL, "messages": HI, "user": "me"}


def test_end_user_is_the_safety_identifier_or_the_user(compat: Service, openai: OpenAI) -> None:
    for sent, stored in (
        ({"safety_identifier": "one", "user": "two"}, "one"),
        ({"user": "two\x00"}, "two\ufffd"),
        ({"safety_identifier": ""}, None),
        ({}, None),
    ):
        answer = openai.chat.completions.create(model=MODEL, messages=HI, extra_body=sent)
        assert compat.row(str(answer._request_id))["end_user"] == stored
    for name in ("safety_identifier", "user"):
        with pytest.raises(BadRequestError, match=f"{name}: String should have at most 512 characters"):
            openai.chat.completions.create(model=MODEL, messages=HI, extra_body={name: "x" * 513})


def test_parameter_unknown_to_groq_is_refused_by_groq(openai: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="property 'x' is unsupported"):
        openai.chat.completions.create(model=MODEL, messages=HI, extra_body={"x": [1]})


def test_default_model_and_integral_floats_are_accepted(compat: Service) -> None:
    body = json.dumps(HELLO | {"max_tokens": 3.0, "seed": 1.0}).encode()
    reply = compat.chat(content=body, headers=HEADERS, path=DROP_IN)
    assert (reply.json["model"], reply.json["choices"][0]["finish_reason"]) == (MODEL, "length")
    assert json.loads(compat.row(reply.id)["params"]) == {"max_tokens": 3, "seed": 1, "stream": False}


def test_example_of_the_documentation_works(compat: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """With only the port and the key changed."""
    code = re.findall(r"```python\n(.*?)```", (PROJECT / "docs/api.md").read_text(), re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(code.replace("http://127.0.0.1:8000", compat.url).replace('"none"', repr(KEY)), names)
    names["client"].close()
    assert capsys.readouterr().out.startswith("Sunlight contains all colours.")


def test_models_are_listed_and_retrieved_by_name_and_alias(compat: Service, openai: OpenAI) -> None:
    ids = [model.id for model in openai.models.list()]
    assert {"openai/gpt-oss-20b", "openai/gpt-oss-120b"} <= set(ids)
    assert not set(RETIRED_MODELS) & set(ids)
    assert openai.models.retrieve("llama-3.3-70b-versatile").id == "openai/gpt-oss-120b"
    assert [openai.models.retrieve(name).id for name in ids] == ids  # one has a slash in its name
    with pytest.raises(NotFoundError) as caught:
        openai.models.retrieve("openai/no-such-model")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    with openai_client(compat, key="wrong") as stranger, pytest.raises(AuthenticationError):
        stranger.models.list()
    with openai_client(compat, key="wrong") as stranger, pytest.raises(AuthenticationError):
        stranger.models.retrieve(MODEL)
