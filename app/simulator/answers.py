"""What is answered: text, reasoning, tool calls and token counts. The same request has the same answer."""

import json
import random
import re
import tomllib
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from app.simulator.faults import Fault
from app.simulator.json_values import value_for
from app.simulator.models import PREFILL_TOKENS_PER_S, Model

_TOKEN = re.compile(r"\s*\S+")
_REASONING = "The user wants an answer. I should keep it short, name the facts, and say what I do not know."
_TEXTS = tomllib.loads(Path(__file__).with_name("answers.toml").read_text(encoding="utf-8"))
_KNOWN_QUESTION = range(3, 13)
"""The number of words of a question that a prepared text may answer. Load tests send fewer words: they check that the
answer quotes their question."""


@dataclass(slots=True)
class Answer:
    """`content`, `reasoning` and `refusal` are lists of tokens."""

    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    hidden: int = 0
    """Tokens of reasoning that are paid for and not sent."""
    refusal: list[str] = field(default_factory=list)
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str = "stop"
    usage: dict[str, Any] = field(default_factory=dict)


def compose(body: dict[str, Any], model: Model, fault: Fault, cached_tokens: int) -> Answer:
    """Return the answer to a request body that was accepted."""
    prompt = _last_user_text(body)
    rng = random.Random(f"{body.get('seed')}:{prompt}")  # nosec B311
    content = _words(_prose(prompt, rng), fault.words)
    if fault.refusal is not None:
        answer = Answer(refusal=_words(fault.refusal))
    elif asks_for_json(body):
        answer = Answer(_words(json.dumps(_json_value(body, prompt, rng), ensure_ascii=False)))
    else:
        answer = _tool_answer(body, rng) or Answer(content)
    if model.efforts and body.get("reasoning_effort") != "none" and fault.reasoning_words != 0:
        _reason(answer, _shown_as(body, model), _words(_REASONING, fault.reasoning_words))
    _cut_to(answer, body.get("max_completion_tokens") or body.get("max_tokens"))
    answer.usage = _usage(body, answer, model, rng, cached_tokens)
    return answer


def asks_for_json(body: dict[str, Any]) -> bool:
    return (body.get("response_format") or {}).get("type") in ("json_object", "json_schema")


def count_tokens(value: Any) -> int:
    """About four characters a token."""
    return len(json.dumps(value, ensure_ascii=False)) // 4 + 1


def _prose(prompt: str, rng: random.Random) -> str:
    words = re.findall(r"\w+", prompt.lower())
    for answer in _TEXTS["answer"]:
        if len(words) in _KNOWN_QUESTION and not set(answer["words"]).isdisjoint(words):
            return str(answer["text"]).strip()
    sentences = rng.sample(_TEXTS["sentences"], k=rng.randint(5, len(_TEXTS["sentences"])))
    return f"You asked: “{prompt[:120]}”. " + " ".join(sentences)


def _words(text: str, length: int | None = None) -> list[str]:
    words = _TOKEN.findall(text)
    return words if length is None else list(islice(cycle(words), length))


def _json_value(body: dict[str, Any], prompt: str, rng: random.Random) -> Any:
    wanted = body["response_format"]
    if wanted["type"] == "json_object":
        return {"question": prompt[:120], "answer": rng.choice(_TEXTS["sentences"])}
    return value_for(wanted["json_schema"].get("schema", {}), rng)


def _shown_as(body: dict[str, Any], model: Model) -> str:
    """`parsed`, `raw` or `hidden`. Qwen's default is `raw` unless tools or JSON exclude it; gpt-oss has none."""
    if body.get("include_reasoning") is False:
        return "hidden"
    wanted = body.get("reasoning_format")
    if model.harmony:
        return "hidden" if wanted == "hidden" else "parsed"
    if wanted is None and body.get("include_reasoning") is None:
        return "parsed" if body.get("tools") or asks_for_json(body) else "raw"
    return str(wanted or "parsed")


def _reason(answer: Answer, shown_as: str, reasoning: list[str]) -> None:
    match shown_as:
        case "hidden":
            answer.hidden = len(reasoning)
        case "raw":
            answer.content = ["<think>", "\n", *reasoning, "\n", "</think>", "\n\n", *answer.content]
        case _:
            answer.reasoning = reasoning


def _tool_answer(body: dict[str, Any], rng: random.Random) -> Answer | None:
    """Calls of the tools that a question has; None for their results, which are answered with text."""
    choice = body.get("tool_choice", "auto")
    tools = [tool["function"] for tool in body.get("tools") or []]
    if not tools or choice == "none" or body["messages"][-1].get("role") == "tool":
        return None
    if isinstance(choice, dict):
        tools = [tool for tool in tools if tool["name"] == choice["function"]["name"]]
    calls = tools[:2] if body.get("parallel_tool_calls", True) else tools[:1]
    return Answer(
        finish_reason="tool_calls",
        tool_calls=[
            {
                "id": f"call_{rng.getrandbits(64):016x}",
                "type": "function",
                "function": {
                    "name": tool["name"],
                    "arguments": json.dumps(value_for({"type": "object"} | (tool.get("parameters") or {}), rng)),
                },
                "index": index,
            }
            for index, tool in enumerate(calls)
        ],
    )


def _cut_to(answer: Answer, budget: int | None) -> None:
    """Reasoning counts toward the budget too: a small one can leave no answer at all."""
    reasoning = answer.hidden + len(answer.reasoning)
    if budget is None or budget >= reasoning + len(answer.content) + len(answer.refusal):
        return
    answer.finish_reason = "length"
    answer.tool_calls = []
    answer.hidden = min(answer.hidden, budget)
    answer.reasoning = answer.reasoning[:budget]
    rest = max(0, budget - reasoning)
    answer.content, answer.refusal = answer.content[:rest], answer.refusal[:rest]


def _usage(
    body: dict[str, Any], answer: Answer, model: Model, rng: random.Random, cached_tokens: int
) -> dict[str, Any]:
    prompt_tokens = count_tokens(body["messages"])
    reasoning_tokens = answer.hidden + len(answer.reasoning)
    calls = sum(count_tokens(call["function"]) for call in answer.tool_calls)
    completion_tokens = reasoning_tokens + len(answer.content) + len(answer.refusal) + calls
    prompt_time = (prompt_tokens - cached_tokens) / PREFILL_TOKENS_PER_S
    completion_time = completion_tokens / model.tokens_per_s
    usage: dict[str, Any] = {
        "queue_time": round(rng.uniform(0.005, 0.05), 9),
        "prompt_tokens": prompt_tokens,
        "prompt_time": round(prompt_time, 9),
        "completion_tokens": completion_tokens,
        "completion_time": round(completion_time, 9),
        "total_tokens": prompt_tokens + completion_tokens,
        "total_time": round(prompt_time + completion_time, 9),
    }
    if cached_tokens:
        usage["prompt_tokens_details"] = {"cached_tokens": cached_tokens}
    if reasoning_tokens:
        usage["completion_tokens_details"] = {"reasoning_tokens": reasoning_tokens}
    return usage


def _last_user_text(body: dict[str, Any]) -> str:
    for message in reversed(body["messages"]):
        if message.get("role") == "user":
            content = message.get("content")
            return content if isinstance(content, str) else json.dumps(content)
    return ""
