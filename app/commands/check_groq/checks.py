"""What is assumed about Groq."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from httpx2 import Response

from app.commands.check_groq.requests import RETIRED, Replies, text_of
from app.core.models import LAST_KNOWN_PRICES, RETIRED_MODELS, ModelPrice

_RATE_LIMIT_FORMS = {"limit": r"\d+", "remaining": r"\d+", "reset": r"(?=.)(\d+h)?(\d+m)?(\d+(\.\d+)?(s|ms|µs))?"}

_Finding = tuple[bool, object]
"""Whether an assumption holds, and what was found."""


@dataclass(frozen=True, slots=True)
class Check:
    """One assumption. docs/groq.md has a row with this `name` and `assumption`."""

    name: str
    assumption: str
    find: Callable[[Replies], _Finding]

    def run(self, replies: Replies) -> str | None:
        """Return what was found if it differs; a reply of an unexpected shape does."""
        try:
            holds, found = self.find(replies)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as exc:
            return f"it cannot be read ({type(exc).__name__}: {exc})"
        text = found if isinstance(found, str) else json.dumps(found)
        return None if holds else text[:600]


CHECKS: list[Check] = []


def _check(name: str, assumption: str) -> Callable[[Callable[[Replies], _Finding]], None]:
    return lambda find: CHECKS.append(Check(name, assumption, find))


def _price(name: str, price: ModelPrice, replies: Replies) -> _Finding:
    if name not in replies.entries:
        return False, "it is not listed"
    dollars = {"prompt": price.input, "completion": price.output, "input_cache_read": price.cached_input}
    found = {kind: float(Decimal(replies.entries[name]["pricing"][kind]) * 1_000_000) for kind in dollars}
    return found == dollars, ", ".join(f"{kind} {value:g}" for kind, value in found.items())


for _name, _of in LAST_KNOWN_PRICES.items():
    _dollars = f"${_of.input:g} in, ${_of.output:g} out, ${_of.cached_input:g} cached"
    _check(_name, f"is served, for {_dollars}, per million")(partial(_price, _name, _of))


@_check("retired models", f"{', '.join(RETIRED_MODELS)} are not served (free and developer plans, since 2026-08-16)")
def _(replies: Replies) -> _Finding:
    served = sorted(set(RETIRED_MODELS) & set(replies.entries))  # an enterprise account may still have them
    return not served, f"this key is served {', '.join(served)}: set GROQ_MODEL_ALIASES={{}} to use them"


@_check(
    "GET /models",
    "lists id, object, created, owned_by; `pricing` in dollars per token, as strings, where there is a price",
)
def _(replies: Replies) -> _Finding:
    def is_odd(entry: dict[str, Any]) -> bool:
        prices = (entry.get("pricing") or {}).values()
        types = [type(entry["owned_by"]), type(entry["created"]), *map(type, prices)]
        return entry["object"] != "model" or types != [str, int, *[str] * len(prices)]

    odd = [entry for entry in replies.entries.values() if is_odd(entry)]
    return not odd, odd


@_check("sizes of models", "are context_length and max_output_length, or context_window and max_completion_tokens")
def _(replies: Replies) -> _Finding:
    sizes = {"context_window", "context_length"}, {"max_completion_tokens", "max_output_length"}
    odd = [entry for entry in replies.entries.values() if not all(size & set(entry) for size in sizes)]
    return not odd, odd


@_check("events", "are `data:` lines of JSON in text/event-stream; the last is `[DONE]`")
def _(replies: Replies) -> _Finding:
    media_type, last = replies.stream.headers["content-type"], replies.events[-1]
    holds = media_type.startswith("text/event-stream") and last == "[DONE]" and replies.chunks != []
    return holds, f"content-type: {media_type}; the last event is {last}"


@_check("opening chunk", "has a role, an empty content and x_groq.id: no token yet")
def _(replies: Replies) -> _Finding:
    first = replies.chunks[0]
    (choice,) = first["choices"]
    holds = choice["delta"] == {"role": "assistant", "content": ""} and choice["finish_reason"] is None
    return holds and first["x_groq"]["id"].startswith("req_"), first


@_check(
    "reasoning of gpt-oss", 'is on by default, and comes as `reasoning` with `channel: "analysis"` before the content'
)
def _(replies: Replies) -> _Finding:
    deltas = [choice["delta"] for chunk in replies.chunks for choice in chunk["choices"]]
    holds = any(set(delta) == {"reasoning", "channel"} and delta["channel"] == "analysis" for delta in deltas)
    return holds, f"the deltas have: {'; '.join(sorted({', '.join(sorted(delta)) for delta in deltas}))}"


@_check("final chunk", "has an empty delta, the finish_reason, and the same usage as `usage` and as `x_groq.usage`")
def _(replies: Replies) -> _Finding:
    final = [chunk for chunk in replies.chunks if chunk["choices"] and chunk["choices"][0]["finish_reason"]]
    found = [(chunk["choices"][0]["delta"], chunk["usage"], chunk["x_groq"]) for chunk in final]
    holds = [delta == {} and usage == x_groq["usage"] for delta, usage, x_groq in found]
    return holds == [True], f"{len(final)} chunks have a finish_reason: {json.dumps(found)}"


@_check("include_usage", "adds a chunk without choices: usage and service_tier")
def _(replies: Replies) -> _Finding:
    last = replies.chunks[-1]
    return last["choices"] == [] and last["usage"] and last["service_tier"], last


@_check("usage", "counts tokens as integers, reasoning among the completion's, and has four times in seconds")
def _(replies: Replies) -> _Finding:
    usages = [replies.chunks[-1]["usage"], replies.answer["usage"]]
    counts = [usage[f"{kind}_tokens"] for usage in usages for kind in ("prompt", "completion", "total")]
    counts += [usage["completion_tokens_details"]["reasoning_tokens"] for usage in usages]
    times = [usage[f"{kind}_time"] for usage in usages for kind in ("queue", "prompt", "completion", "total")]
    return {*map(type, counts)} == {int} and {*map(type, times)} <= {int, float}, usages


@_check("id", "is the same in all chunks of an answer (except groq/compound)")
def _(replies: Replies) -> _Finding:
    count = len({chunk["id"] for chunk in replies.chunks})
    return count == 1, f"{count} ids in one stream"


@_check("chat.completion", "has finish_reason, message.content, message.reasoning, usage and x_groq.id")
def _(replies: Replies) -> _Finding:
    answer = replies.answer
    (choice,) = answer["choices"]
    holds = answer["object"] == "chat.completion" and choice["finish_reason"] == "stop"
    holds = holds and isinstance(choice["message"]["reasoning"], str) and answer["x_groq"]["id"].startswith("req_")
    return holds, answer


@_check("structured outputs", "fit the schema of `response_format`, on gpt-oss with `strict`")
def _(replies: Replies) -> _Finding:
    value = json.loads(replies.answer["choices"][0]["message"]["content"])
    return {name: type(each) for name, each in value.items()} == {"city": str, "sunny": bool}, value


@_check("unknown model", "and one retired in 2026 is a 404 `model_not_found`")
def _(replies: Replies) -> _Finding:
    message = f"The model `{RETIRED}` does not exist or you do not have access to it."
    return _is_error(replies.retired, 404, code="model_not_found", message=message), text_of(replies.retired)


@_check("wrong key", "is a 401 `invalid_api_key`, without rate-limit headers")
def _(replies: Replies) -> _Finding:
    reply, limits = replies.unauthorized, _rate_limits(replies.unauthorized)
    holds = _is_error(reply, 401, code="invalid_api_key", message="Invalid API Key") and not limits
    return holds, f"{text_of(reply)} {limits}"


@_check("streamed JSON", "`response_format` of JSON kinds with `stream` is a 400")
def _(replies: Replies) -> _Finding:
    reply = replies.streamed_json
    holds = _is_error(reply, 400, type="invalid_request_error") and "does not support streaming" in reply.text
    return holds, text_of(reply)


@_check(
    "x-ratelimit-…",
    "give the requests of the day and the tokens of the minute: limit, remaining, and reset as a Go duration",
)
def _(replies: Replies) -> _Finding:
    forms = {f"{name}-{kind}": form for name, form in _RATE_LIMIT_FORMS.items() for kind in ("requests", "tokens")}
    values = {name: replies.whole.headers.get(f"x-ratelimit-{name}", "") for name in forms}
    holds = all(re.fullmatch(form, values[name]) for name, form in forms.items())
    return holds, _rate_limits(replies.whole) or "there are none"


@_check("retry-after", "comes with 429 alone, in whole seconds")
def _(replies: Replies) -> _Finding:
    found = replies.whole.headers.get("retry-after")
    return found is None, f"retry-after: {found} with {replies.whole.status_code}"


def _is_error(reply: Response, status: int, **fields: str) -> bool:
    return reply.status_code == status and reply.json()["error"].items() >= fields.items()


def _rate_limits(reply: Response) -> str:
    return ", ".join(f"{name}: {value}" for name, value in reply.headers.items() if "ratelimit" in name)
