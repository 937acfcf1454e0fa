"""What is answered. The same seed and the same request give the same answer."""

import json
import random
import re
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

from app.simulator.models import PREFILL_TOKENS_PER_S, Model

_TOKEN = re.compile(r"\s*\S+")
_REASONING = "The user wants an answer. I should keep it short, name the facts, and say what I do not know."
_SENTENCES = (
    "This answer comes from the simulator that stands in for Groq, so no key and no network are needed.",
    "Each word travels as one event, at the pace of the model you asked for.",
    "The service relays the bytes as they come and reads what they mean in passing.",
    "When the last event says [DONE], the row of this chat is on disk.",
    "Time to first token is what a reader waits for; time per output token is what a reader feels.",
    "Unicode travels too: naïve café, 東京タワー, здравствуй, مرحبا, 🚀.",
    "A retry happens only while nothing has been sent, because nobody wants to read a sentence twice.",
    "A client that leaves is noticed, and the answer is stopped at its source.",
    "Look at the chat's row with `make chats`: it holds the prompt, the answer and what it cost.",
)


@dataclass(slots=True)
class Answer:
    """An answer before it is written down; `content` and `reasoning` are tokens."""

    content: list[str]
    reasoning: list[str] = field(default_factory=list)
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str = "stop"
    usage: dict[str, Any] = field(default_factory=dict)


def compose(body: dict[str, Any], model: Model, seed: int, words: int | None = None) -> Answer:
    """The answer to a request body that has passed the checks; so many `words` long, where that is asked for."""
    prompt = _last_user_text(body)
    rng = random.Random(f"{seed}:{body.get('seed')}:{prompt}")  # nosec B311
    content = _words(_prose(prompt, rng))
    answer = _tool_answer(body, rng) or Answer(list(islice(cycle(content), len(content) if words is None else words)))
    shows_reasoning = body.get("include_reasoning") is not False and body.get("reasoning_format") != "hidden"
    if model.reasons and shows_reasoning and not answer.tool_calls:
        _reason(answer, body.get("reasoning_format"))
    _cut_to(answer, body.get("max_completion_tokens") or body.get("max_tokens"))
    answer.usage = _usage(body, answer, model, rng)
    return answer


def count_tokens(value: Any) -> int:
    """About four characters a token, and a few for each message's frame."""
    return len(json.dumps(value, ensure_ascii=False)) // 4 + 1


def _prose(prompt: str, rng: random.Random) -> str:
    sentences = rng.sample(_SENTENCES, k=rng.randint(5, len(_SENTENCES)))
    return f"You asked: “{prompt[:120]}”. " + " ".join(sentences)


def _words(text: str) -> list[str]:
    return _TOKEN.findall(text)


def _reason(answer: Answer, reasoning_format: str | None) -> None:
    if reasoning_format == "raw":
        answer.content = ["<think>", *_words(_REASONING), "</think>", *answer.content]
    else:
        answer.reasoning = _words(_REASONING)


def _tool_answer(body: dict[str, Any], rng: random.Random) -> Answer | None:
    """A question with tools is answered with calls of them; their results are answered with words."""
    choice = body.get("tool_choice", "auto")
    tools = [tool["function"] for tool in body.get("tools") or []]
    if not tools or choice == "none" or body["messages"][-1].get("role") == "tool":
        return None
    if isinstance(choice, dict):
        tools = [tool for tool in tools if tool["name"] == choice["function"]["name"]]
    calls = tools[:2] if body.get("parallel_tool_calls", True) else tools[:1]
    return Answer(
        content=[],
        finish_reason="tool_calls",
        tool_calls=[
            {
                "id": f"call_{rng.getrandbits(64):016x}",
                "type": "function",
                "function": {"name": tool["name"], "arguments": json.dumps(_arguments(tool))},
                "index": index,
            }
            for index, tool in enumerate(calls)
        ],
    )


def _arguments(tool: dict[str, Any]) -> dict[str, Any]:
    examples = {"integer": 3, "number": 1.5, "boolean": True, "array": [], "object": {}}
    properties = (tool.get("parameters") or {}).get("properties")
    if not isinstance(properties, dict):
        return {}
    kinds = {name: schema.get("type") if isinstance(schema, dict) else None for name, schema in properties.items()}
    return {name: examples.get(kind, "Paris") if isinstance(kind, str) else "Paris" for name, kind in kinds.items()}


def _cut_to(answer: Answer, budget: int | None) -> None:
    """Reasoning is paid from the same budget: a small one can leave no room for the answer itself."""
    if budget is None or budget >= len(answer.reasoning) + len(answer.content):
        return
    answer.finish_reason = "length"
    answer.reasoning = answer.reasoning[:budget]
    answer.content = answer.content[: budget - len(answer.reasoning)]


def _usage(body: dict[str, Any], answer: Answer, model: Model, rng: random.Random) -> dict[str, Any]:
    prompt_tokens = count_tokens(body["messages"])
    calls = sum(count_tokens(call["function"]) for call in answer.tool_calls)
    completion_tokens = len(answer.reasoning) + len(answer.content) + calls
    prompt_time = prompt_tokens / PREFILL_TOKENS_PER_S
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
    if answer.reasoning:
        usage["completion_tokens_details"] = {"reasoning_tokens": len(answer.reasoning)}
    return usage


def _last_user_text(body: dict[str, Any]) -> str:
    for message in reversed(body["messages"]):
        if message.get("role") == "user":
            content = message.get("content")
            return content if isinstance(content, str) else json.dumps(content)
    return ""
