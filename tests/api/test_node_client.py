"""OpenAI's client for Node, with only its base URL and its key changed."""

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.openai_client import HI, KEY, MODEL, REASONING, TOOLS
from tests.support.processes import PROJECT
from tests.support.service import DROP_IN, Service, SimulatedGroq
from tests.support.tools import do_without, tool

pytestmark = pytest.mark.needs("node")

FOLDER = PROJECT / "tests" / "node"
BODY = {"model": MODEL, "messages": HI}

Node = Callable[..., Any]
"""Makes one call and returns its result."""


@pytest.fixture
def node(compat: Service) -> Node:
    program = tool("node")
    if not (FOLDER / "node_modules" / "openai").is_dir():
        do_without("openai's client for Node is not installed; `npm ci --prefix tests/node` does that")

    def call(request: Any, *, key: str = KEY, retries: int = 0) -> Any:
        command = [str(program), "client.mjs", f"{compat.url}/v1", key, str(retries)]
        finished = subprocess.run(
            command, input=json.dumps(request), capture_output=True, text=True, check=True, timeout=60, cwd=FOLDER
        )
        return json.loads(finished.stdout)

    return call


def test_stream_is_read(node: Node) -> None:
    result = node({"chat": {**BODY, "stream": True}})
    choices = [chunk["choices"][0] for chunk in result["chunks"]]  # without include_usage every chunk has a choice
    assert "".join(choice["delta"].get("content", "") for choice in choices).startswith("You asked: “Hello”.")
    assert choices[-1]["finish_reason"] == "stop"
    options = {"stream_options": {"include_usage": True}}
    *_, last = node({"chat": {**BODY, "stream": True, **options}})["chunks"]
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 0


def test_completion_without_stream_equals_its_row(node: Node, compat: Service) -> None:
    result = node({"chat": BODY})
    message = result["answer"]["choices"][0]["message"]
    row = compat.row(result["request_id"])
    assert (row["response"], row["outcome"], row["client"]) == (message["content"], "completed", "me")
    reasoned = node({"chat": BODY | {"model": REASONING}})["answer"]["choices"][0]["message"]
    assert reasoned["reasoning"].startswith("The user wants")


@pytest.mark.parametrize("stream", [True, False])
def test_tool_calls_are_read(node: Node, *, stream: bool) -> None:
    result = node({"chat": {**BODY, "tools": TOOLS, "stream": stream}})
    deltas = [choice["delta"] for chunk in result["chunks"] for choice in chunk["choices"]]
    message = {"tool_calls": [call for delta in deltas for call in delta.get("tool_calls", [])]}
    message = message if stream else result["answer"]["choices"][0]["message"]
    assert [call["function"]["name"] for call in message["tool_calls"]] == ["weather", "news"]


def test_stored_chats_are_listed_and_retrieved(node: Node) -> None:
    chats = [node({"chat": BODY | {"user": "somebody-in-node"}}) for _ in range(3)]
    ids = [chat["answer"]["id"] for chat in chats]
    listed = node({"list": {"limit": 2, "order": "desc", "end_user": "somebody-in-node"}})["answer"]
    assert [each["id"] for each in listed] == ids[::-1]
    for name in (ids[0], chats[0]["request_id"]):
        stored = node({"retrieve": name})["answer"]
        assert stored["choices"][0]["message"]["content"] == chats[0]["answer"]["choices"][0]["message"]["content"]
        assert stored["x_chat"]["outcome"] == "completed"
    assert [each["content"] for each in node({"messages": ids[0]})["answer"]] == ["Hello"]
    assert node({"retrieve": "chatcmpl-none"})["error"]["kind"] == "NotFoundError"


def test_chat_that_continues_is_retrieved_with_retries(node: Node, compat: Service, groq: SimulatedGroq) -> None:
    groq.fail({"tokens_per_s": 30})
    headers = {"authorization": f"Bearer {KEY}", "x-continue-on-disconnect": "true"}
    body = BODY | {"stream": True, "max_tokens": 60}
    with compat.http.stream("POST", f"{compat.url}{DROP_IN}", json=body, headers=headers) as response:
        next(response.iter_raw())
    assert node({"retrieve": response.headers["x-request-id"]})["error"]["kind"] == "ConflictError"
    stored = node({"retrieve": response.headers["x-request-id"]}, retries=20)["answer"]
    assert (stored["x_chat"]["outcome"], stored["usage"]["completion_tokens"]) == ("completed", 60)


def test_models_are_listed_and_retrieved_by_a_name_with_a_slash(node: Node) -> None:
    names = [model["id"] for model in node({"models": None})["answer"]]
    assert {MODEL, REASONING} <= set(names)
    assert node({"models": REASONING})["answer"]["id"] == REASONING
    assert node({"models": "no-such-model"})["error"]["kind"] == "NotFoundError"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "parameters", "kind", "code"),
    [
        ({}, {"messages": []}, "BadRequestError", "invalid_request"),
        ({}, {"model": "no-such-model"}, "NotFoundError", "model_not_found"),
        ({"status": 429, "retry_after_s": 600}, {}, "RateLimitError", "rate_limit_exceeded"),
        ({"status": 503}, {}, "InternalServerError", "upstream_unavailable"),
    ],
)
def test_error_status_throws_the_matching_error(
    node: Node, groq: SimulatedGroq, stream: Any, fault: dict[str, Any], parameters: Any, kind: str, code: str
) -> None:
    groq.fail(fault)
    error = node({"chat": {**BODY, **parameters, "stream": stream}})["error"]
    assert (error["kind"], error["code"]) == (kind, code)


def test_wrong_key_throws(node: Node) -> None:
    assert node({"chat": BODY}, key="wrong")["error"]["kind"] == "AuthenticationError"
    assert node({"models": None}, key="wrong")["error"]["status"] == 401


@pytest.mark.parametrize("ending", ["truncate", "eof", "garbage", "early_stop"])
def test_answer_that_breaks_off_throws(node: Node, groq: SimulatedGroq, ending: str) -> None:
    """The client throws for an error event only: not for a stream that just ends."""
    groq.fail({"ending": ending, "after_tokens": 5, "reasoning_words": 0})
    streamed = node({"chat": {**BODY, "stream": True}})
    deltas = [chunk["choices"][0]["delta"] for chunk in streamed["chunks"]]
    assert sum(bool(delta.get("content") or delta.get("reasoning")) for delta in deltas) == 5
    assert (streamed["error"]["code"], streamed["error"]["is_of_client"]) == ("upstream_broken", True)
    error = node({"chat": BODY})["error"]
    assert (error["kind"], error["status"], error["code"]) == ("InternalServerError", 502, "upstream_broken")


def test_client_retry_waits_for_retry_after(node: Node, groq: SimulatedGroq) -> None:
    groq.fail({"status": 429, "retry_after_s": 2, "times": 1})
    began = time.monotonic()
    assert node({"chat": BODY}, retries=1)["answer"]["choices"][0]["finish_reason"] == "stop"
    assert time.monotonic() - began >= 2
