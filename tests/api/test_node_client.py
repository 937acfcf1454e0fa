"""OpenAI's own client in Node, with nothing changed but the address and the key."""

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.drop_in import HI, KEY, MODEL, REASONING, TOOLS
from tests.support.processes import PROJECT
from tests.support.service import Service, SimulatedGroq
from tests.support.tools import do_without, tool

pytestmark = pytest.mark.needs("node")

FOLDER = PROJECT / "tests" / "node"
BODY = {"model": MODEL, "messages": HI}

Node = Callable[..., Any]
"""Makes one call, and returns what came of it."""


@pytest.fixture
def node(drop_in: Service) -> Node:
    program = tool("node")
    if not (FOLDER / "node_modules" / "openai").is_dir():
        do_without("openai's client for Node is not installed; `npm ci --prefix tests/node` does that")

    def call(what: Any, *, key: str = KEY, retries: int = 0) -> Any:
        command = [str(program), "client.mjs", f"{drop_in.url}/v1", key, str(retries)]
        said = subprocess.run(
            command, input=json.dumps(what), capture_output=True, text=True, check=True, timeout=60, cwd=FOLDER
        )
        return json.loads(said.stdout)

    return call


def test_it_streams(node: Node) -> None:
    came = node({"chat": {**BODY, "stream": True}})
    choices = [chunk["choices"][0] for chunk in came["chunks"]]  # whoever did not ask for usage may
    assert "".join(choice["delta"].get("content", "") for choice in choices).startswith("You asked: “Hello”.")
    assert choices[-1]["finish_reason"] == "stop"
    options = {"stream_options": {"include_usage": True}}
    *_, last = node({"chat": {**BODY, "stream": True, **options}})["chunks"]
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 0


def test_it_is_answered_whole_and_the_row_is_there(node: Node, drop_in: Service) -> None:
    came = node({"chat": BODY})
    message = came["answer"]["choices"][0]["message"]
    row = drop_in.row(came["request_id"])
    assert (row["response"], row["outcome"], row["client"]) == (message["content"], "completed", "me")
    reasoned = node({"chat": BODY | {"model": REASONING}})["answer"]["choices"][0]["message"]
    assert reasoned["reasoning"].startswith("The user wants")


@pytest.mark.parametrize("stream", [True, False])
def test_it_is_asked_to_call_tools(node: Node, *, stream: bool) -> None:
    came = node({"chat": {**BODY, "tools": TOOLS, "stream": stream}})
    deltas = [choice["delta"] for chunk in came["chunks"] for choice in chunk["choices"]]
    message = {"tool_calls": [call for delta in deltas for call in delta.get("tool_calls", [])]}
    message = message if stream else came["answer"]["choices"][0]["message"]
    assert [call["function"]["name"] for call in message["tool_calls"]] == ["weather", "news"]


def test_it_lists_models_and_finds_one_with_a_slash_in_its_name(node: Node) -> None:
    names = [model["id"] for model in node({"models": None})["answer"]]
    assert {MODEL, REASONING} <= set(names)
    assert node({"models": REASONING})["answer"]["id"] == REASONING
    assert node({"models": "no-such-model"})["error"]["kind"] == "NotFoundError"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "asked", "kind", "code"),
    [
        ({}, {"messages": []}, "BadRequestError", "invalid_request"),
        ({}, {"model": "no-such-model"}, "NotFoundError", "model_not_found"),
        ({"status": 429, "retry_after_s": 600}, {}, "RateLimitError", "rate_limit_exceeded"),
        ({"status": 503}, {}, "InternalServerError", "upstream_unavailable"),
    ],
)
def test_it_throws_what_openai_s_refusals_would_make_it_throw(
    node: Node, groq: SimulatedGroq, stream: Any, fault: dict[str, Any], asked: Any, kind: str, code: str
) -> None:
    groq.fail(fault)
    error = node({"chat": {**BODY, **asked, "stream": stream}})["error"]
    assert (error["kind"], error["code"]) == (kind, code)


def test_it_throws_for_a_wrong_key(node: Node) -> None:
    assert node({"chat": BODY}, key="wrong")["error"]["kind"] == "AuthenticationError"
    assert node({"models": None}, key="wrong")["error"]["status"] == 401


@pytest.mark.parametrize("ending", ["truncate", "eof", "garbage", "early_stop"])
def test_it_throws_for_what_breaks_off(node: Node, groq: SimulatedGroq, ending: str) -> None:
    """It would not for a stream that merely ends: the error event is what tells it."""
    groq.fail({"ending": ending, "after_tokens": 5, "reasoning_words": 0})
    streamed = node({"chat": {**BODY, "stream": True}})
    deltas = [chunk["choices"][0]["delta"] for chunk in streamed["chunks"]]
    assert sum(bool(delta.get("content") or delta.get("reasoning")) for delta in deltas) == 5
    assert (streamed["error"]["code"], streamed["error"]["is_of_client"]) == ("upstream_broken", True)
    error = node({"chat": BODY})["error"]
    assert (error["kind"], error["status"], error["code"]) == ("InternalServerError", 502, "upstream_broken")


def test_its_own_retry_waits_as_it_is_told(node: Node, groq: SimulatedGroq) -> None:
    groq.fail({"status": 429, "retry_after_s": 2, "times": 1})
    began = time.monotonic()
    assert node({"chat": BODY}, retries=1)["answer"]["choices"][0]["finish_reason"] == "stop"
    assert time.monotonic() - began >= 2
