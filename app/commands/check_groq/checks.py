"""What is assumed about Groq. Each check returns what it found instead, or None if the assumption holds."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from app.commands.check_groq.requests import RETIRED, Replies
from app.core.models import LAST_KNOWN_PRICES, RETIRED_MODELS, ModelPrice

_GO_DURATION = re.compile(r"(?=.)(\d+h)?(\d+m)?(\d+(\.\d+)?(s|ms|µs))?")


@dataclass(frozen=True, slots=True)
class Check:
    """One assumption. docs/groq.md has a row with this `name` and `assumption`."""

    name: str
    assumption: str
    find: Callable[[Replies], str | None]

    def run(self, replies: Replies) -> str | None:
        """Returns what was found if it differs; a reply of an unexpected shape does."""
        try:
            return self.find(replies)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as exc:
            return f"it cannot be read ({type(exc).__name__}: {exc})"


CHECKS: list[Check] = []


def _check(name: str, assumption: str) -> Callable[[Callable[[Replies], str | None]], None]:
    return lambda find: CHECKS.append(Check(name, assumption, find))


def _price(name: str, price: ModelPrice, replies: Replies) -> str | None:
    if (entry := replies.models.entries_by_id.get(name)) is None:
        return "it is not listed"
    dollars = {"prompt": price.input, "completion": price.output, "input_cache_read": price.cached_input}
    found = {kind: Decimal(entry["pricing"][kind]) * 1_000_000 for kind in dollars}
    if found == {kind: Decimal(str(value)) for kind, value in dollars.items()}:
        return None
    return ", ".join(f"{kind} {value.normalize():f}" for kind, value in found.items())


for _name, _of in LAST_KNOWN_PRICES.items():
    _dollars = f"${_of.input:g} in, ${_of.output:g} out, ${_of.cached_input:g} cached"
    _check(_name, f"is served, for {_dollars}, per million")(partial(_price, _name, _of))


@_check("retired models", f"{', '.join(RETIRED_MODELS)} are not served (free and developer plans, since 2026-08-16)")
def _(replies: Replies) -> str | None:
    served = sorted(
        set(RETIRED_MODELS) & set(replies.models.entries_by_id)
    )  # an enterprise account may still have them
    return f"this key is served {', '.join(served)}: set GROQ_MODEL_ALIASES={{}} to use them" if served else None


@_check(
    "GET /models",
    "lists id, object, created, owned_by; `pricing` in dollars per token, as strings, where there is a price",
)
def _(replies: Replies) -> str | None:
    for name, entry in replies.models.entries_by_id.items():
        if entry["object"] != "model" or not isinstance(entry["owned_by"], str) or type(entry["created"]) is not int:
            return f"{name}: {json.dumps(entry)[:200]}"
        if not all(isinstance(price, str) for price in (entry.get("pricing") or {}).values()):
            return f"{name}: a price is no text: {json.dumps(entry['pricing'])}"
    return None


@_check("sizes of models", "are context_length and max_output_length, or context_window and max_completion_tokens")
def _(replies: Replies) -> str | None:
    sizes = {"context_window", "context_length"}, {"max_completion_tokens", "max_output_length"}
    for name, entry in replies.models.entries_by_id.items():
        if not all(names & set(entry) for names in sizes):
            return f"{name} has {', '.join(sorted(entry))}"
    return None


@_check("events", "are `data:` lines of JSON in text/event-stream; the last is `[DONE]`")
def _(replies: Replies) -> str | None:
    reply = replies.stream
    media_type = reply.headers.get("content-type", "")
    if not media_type.startswith("text/event-stream"):
        return f"content-type: {media_type}"
    return None if reply.chunks and reply.events[-1] == "[DONE]" else f"the last event is {reply.events[-1][:80]}"


@_check("opening chunk", "has a role, an empty content and x_groq.id: no token yet")
def _(replies: Replies) -> str | None:
    first = replies.stream.chunks[0]
    (choice,) = first["choices"]
    holds = choice["delta"] == {"role": "assistant", "content": ""} and choice["finish_reason"] is None
    return None if holds and first["x_groq"]["id"].startswith("req_") else json.dumps(first)[:300]


@_check(
    "reasoning of gpt-oss", 'is on by default, and comes as `reasoning` with `channel: "analysis"` before the content'
)
def _(replies: Replies) -> str | None:
    deltas = [choice["delta"] for chunk in replies.stream.chunks for choice in chunk["choices"]]
    if any(set(delta) == {"reasoning", "channel"} and delta["channel"] == "analysis" for delta in deltas):
        return None
    return f"the deltas have: {'; '.join(sorted({', '.join(sorted(delta)) for delta in deltas}))}"


@_check("final chunk", "has an empty delta, the finish_reason, and the same usage as `usage` and as `x_groq.usage`")
def _(replies: Replies) -> str | None:
    finished = [chunk for chunk in replies.stream.chunks if chunk["choices"] and chunk["choices"][0]["finish_reason"]]
    if len(finished) != 1:
        return f"{len(finished)} chunks have a finish_reason"
    chunk, delta = finished[0], finished[0]["choices"][0]["delta"]
    if delta == {} and chunk["usage"] == chunk["x_groq"]["usage"]:
        return None
    return f"delta {json.dumps(delta)[:100]}, usage {json.dumps(chunk['usage'])}, x_groq {json.dumps(chunk['x_groq'])}"


@_check("include_usage", "adds a chunk without choices: usage and service_tier")
def _(replies: Replies) -> str | None:
    last = replies.stream.chunks[-1]
    return None if last["choices"] == [] and last["usage"] and last["service_tier"] else json.dumps(last)[:300]


@_check("usage", "counts tokens as integers, reasoning among the completion's, and has four times in seconds")
def _(replies: Replies) -> str | None:
    for usage in (replies.stream.chunks[-1]["usage"], replies.whole.json["usage"]):
        counts = [usage[f"{kind}_tokens"] for kind in ("prompt", "completion", "total")]
        counts.append(usage["completion_tokens_details"]["reasoning_tokens"])
        times = [usage[f"{kind}_time"] for kind in ("queue", "prompt", "completion", "total")]
        if not all(type(count) is int for count in counts) or not all(isinstance(time, int | float) for time in times):
            return json.dumps(usage)
    return None


@_check("id", "is the same in all chunks of an answer (except groq/compound)")
def _(replies: Replies) -> str | None:
    count = len({chunk["id"] for chunk in replies.stream.chunks})
    return None if count == 1 else f"{count} ids in one stream"


@_check("chat.completion", "has finish_reason, message.content, message.reasoning, usage and x_groq.id")
def _(replies: Replies) -> str | None:
    answer = replies.whole.json
    if replies.whole.status != 200:
        return str(replies.whole)
    (choice,) = answer["choices"]
    holds = answer["object"] == "chat.completion" and choice["finish_reason"] == "stop"
    holds = holds and isinstance(choice["message"]["reasoning"], str) and answer["x_groq"]["id"].startswith("req_")
    return None if holds else json.dumps(answer)[:300]


@_check("structured outputs", "fit the schema of `response_format`, on gpt-oss with `strict`")
def _(replies: Replies) -> str | None:
    content = replies.whole.json["choices"][0]["message"]["content"]
    value = json.loads(content)
    fits = set(value) == {"city", "sunny"} and isinstance(value["city"], str) and type(value["sunny"]) is bool
    return None if fits else str(content)[:300]


@_check("unknown model", "and one retired in 2026 is a 404 `model_not_found`")
def _(replies: Replies) -> str | None:
    message = f"The model `{RETIRED}` does not exist or you do not have access to it."
    return replies.retired.unless_error(404, code="model_not_found", message=message)


@_check("wrong key", "is a 401 `invalid_api_key`, without rate-limit headers")
def _(replies: Replies) -> str | None:
    reply = replies.unauthorized
    return reply.unless_error(401, code="invalid_api_key", message="Invalid API Key") or reply.rate_limits or None


@_check("streamed JSON", "`response_format` of JSON kinds with `stream` is a 400")
def _(replies: Replies) -> str | None:
    reply = replies.streamed_json
    wrong_text = None if "does not support streaming" in reply.text else str(reply)
    return reply.unless_error(400, type="invalid_request_error") or wrong_text


@_check(
    "x-ratelimit-…",
    "give the requests of the day and the tokens of the minute: limit, remaining, and reset as a Go duration",
)
def _(replies: Replies) -> str | None:
    headers = replies.whole.headers
    for kind in ("requests", "tokens"):
        limit, remaining, reset = (
            headers.get(f"x-ratelimit-{name}-{kind}", "") for name in ("limit", "remaining", "reset")
        )
        if not (limit.isdecimal() and remaining.isdecimal() and _GO_DURATION.fullmatch(reset)):
            return replies.whole.rate_limits or "there are none"
    return None


@_check("retry-after", "comes with 429 alone, in whole seconds")
def _(replies: Replies) -> str | None:
    found = replies.whole.headers.get("retry-after")
    return None if found is None else f"retry-after: {found} with {replies.whole.status}"
