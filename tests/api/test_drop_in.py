"""OpenAI's own client, with nothing changed but the address and the key."""

import json
import re
import time
from typing import Any

import pytest
from openai import AsyncOpenAI, AuthenticationError, BadRequestError, NotFoundError, OpenAI

from app.core.models import RETIRED_MODELS
from tests.support.drop_in import HEADERS, HI, KEY, MODEL, REASONING, TOOLS, client_of
from tests.support.processes import PROJECT
from tests.support.service import DROP_IN, HELLO, Service, SimulatedGroq


def test_a_stream_is_groq_s_and_ends_with_the_receipt(drop_in: Service, openai: OpenAI) -> None:
    with openai.chat.completions.create(model=MODEL, messages=HI, stream=True) as stream:
        chunks = list(stream)
        chat_id = stream.response.headers["x-request-id"]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)  # whoever did not ask for usage may
    assert text.startswith("You asked: “Hello”.")
    assert chunks[-1].choices[0].finish_reason == "stop"
    row = drop_in.row(chat_id)
    assert (row["response"], row["client"], row["outcome"]) == (text, "me", "completed")


def test_both_addresses_stream_the_same(drop_in: Service) -> None:
    ours = drop_in.chat({**HELLO, "seed": 1}, headers=HEADERS)
    theirs = drop_in.chat({**HELLO, "seed": 1, "stream": True}, headers=HEADERS, path=DROP_IN)
    assert [chunk["choices"] for chunk in theirs.chunks] == [chunk["choices"] for chunk in ours.chunks]
    assert theirs.done
    names = ("content-type", "cache-control", "x-accel-buffering")
    assert [theirs.headers[name] for name in names] == [ours.headers[name] for name in names]


def test_an_answer_that_is_not_streamed_is_whole_and_its_row_is_there(drop_in: Service, openai: OpenAI) -> None:
    answer = openai.chat.completions.create(model=MODEL, messages=HI, temperature=0.5)
    row = drop_in.row(str(answer._request_id))
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
    line = drop_in.finished_line(str(answer._request_id))
    assert (line["streamed"], line["route"], line["client"]) == (False, DROP_IN, "me")
    assert line["ttft_ms"] is None


def test_tools_are_called_the_same_way_in_both(openai: OpenAI) -> None:
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


def test_reasoning_comes_beside_the_text(openai: OpenAI) -> None:
    whole: Any = openai.chat.completions.create(model=REASONING, messages=HI).choices[0].message
    assert whole.reasoning.startswith("The user wants")
    assert whole.content.startswith("You asked")
    stream = openai.chat.completions.create(model=REASONING, messages=HI, stream=True)
    deltas = [chunk.choices[0].delta.to_dict() for chunk in stream]
    assert "".join(str(delta.get("reasoning", "")) for delta in deltas) == whole.reasoning


def test_usage_comes_as_a_chunk_of_its_own_for_those_who_ask_for_it(openai: OpenAI) -> None:
    options: Any = {"include_usage": True}
    *_, last = openai.chat.completions.create(model=MODEL, messages=HI, stream=True, stream_options=options)
    assert (last.choices, last.usage is not None) == ([], True)


async def test_the_asynchronous_client_works_too(drop_in: Service) -> None:
    async with AsyncOpenAI(base_url=f"{drop_in.url}/v1", api_key=KEY, max_retries=0) as client:
        stream = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
        assert [chunk.choices[0].finish_reason async for chunk in stream][-1] == "stop"
        answer = await client.chat.completions.create(model=MODEL, messages=HI)
        assert answer.choices[0].finish_reason == "stop"


def test_what_the_service_does_not_know_travels_as_it_is(openai: OpenAI, groq: SimulatedGroq) -> None:
    beside: Any = {"parallel_tool_calls": False, "user": "me", "seed": 1}
    openai.chat.completions.create(model=MODEL, messages=HI, max_tokens=8, **beside)
    sent = groq.seen()["last_request"]["body"]
    assert sent == {"model": MODEL, "messages": HI, "max_tokens": 8, **beside}
    groqs = {"search_settings": {"country": "france"}}
    openai.chat.completions.create(model=MODEL, messages=HI, stream=True, extra_body=groqs).close()
    assert groq.seen()["last_request"]["body"] == {"model": MODEL, "messages": HI, "stream": True, **groqs}


def test_store_is_the_service_s_own_business(openai: OpenAI, groq: SimulatedGroq) -> None:
    openai.chat.completions.create(model=MODEL, messages=HI, store=False)
    assert "store" not in groq.seen()["last_request"]["body"]


def test_what_groq_does_not_know_is_refused_by_groq(openai: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="property 'x' is unsupported"):
        openai.chat.completions.create(model=MODEL, messages=HI, extra_body={"x": [1]})


def test_a_model_need_not_be_named_and_a_whole_number_may_be_written_with_a_fraction(drop_in: Service) -> None:
    body = json.dumps(HELLO | {"max_tokens": 3.0, "seed": 1.0}).encode()
    reply = drop_in.chat(content=body, headers=HEADERS, path=DROP_IN)
    assert (reply.json["model"], reply.json["choices"][0]["finish_reason"]) == (MODEL, "length")
    assert json.loads(drop_in.row(reply.id)["params"]) == {"max_tokens": 3, "seed": 1, "stream": False}


def test_the_readme_s_lines_work(drop_in: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """As they stand, but for the port and the key."""
    code = re.findall(r"```python\n(.*?)```", (PROJECT / "docs/api.md").read_text(), re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(code.replace("http://127.0.0.1:8000", drop_in.url).replace('"none"', repr(KEY)), names)
    names["client"].close()
    assert capsys.readouterr().out.startswith("You asked: “Why is the sky blue?”.")


def test_models_are_those_of_groq_s_catalogue_and_found_by_an_alias_too(drop_in: Service, openai: OpenAI) -> None:
    ids = [model.id for model in openai.models.list()]
    assert {"openai/gpt-oss-20b", "openai/gpt-oss-120b"} <= set(ids)
    assert not set(RETIRED_MODELS) & set(ids)
    assert openai.models.retrieve("llama-3.3-70b-versatile").id == "openai/gpt-oss-120b"
    assert [openai.models.retrieve(name).id for name in ids] == ids  # one has a slash in its name
    with pytest.raises(NotFoundError) as caught:
        openai.models.retrieve("openai/no-such-model")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    with client_of(drop_in, key="wrong") as stranger, pytest.raises(AuthenticationError):
        stranger.models.list()
    with client_of(drop_in, key="wrong") as stranger, pytest.raises(AuthenticationError):
        stranger.models.retrieve(MODEL)
