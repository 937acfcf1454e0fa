"""What came back against what was assumed: each check returns what it found where that differs, else None."""

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from app.commands.check_groq.asking import RETIRED, Evidence, Reply
from app.core.models import RETIRED_MODELS, ModelPrice

Check = Callable[[Evidence], str | None]
_GO_DURATION = re.compile(r"(\d+h)?(\d+m)?(\d+(\.\d+)?(s|ms|µs))?")
_RATE_LIMIT = ("limit", "remaining", "reset")
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_TIMES = ("queue_time", "prompt_time", "completion_time", "total_time")


def finding(check: Check, evidence: Evidence) -> str | None:
    """What a check found; an answer of an unexpected shape is something found, too."""
    try:
        return check(evidence)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as exc:
        return f"it cannot be read ({type(exc).__name__}: {exc})"


def price(name: str, expected: ModelPrice) -> Check:
    """Whether a model is listed, at this price."""

    def check(evidence: Evidence) -> str | None:
        entry = _models(evidence.models).get(name)
        if entry is None:
            return "it is not listed"
        dollars = {"prompt": expected.input, "completion": expected.output, "input_cache_read": expected.cached_input}
        found = {each: Decimal(entry["pricing"][each]) * 1_000_000 for each in dollars}
        if all(found[each] == Decimal(str(dollars[each])) for each in dollars):
            return None
        return ", ".join(f"{each} {value.normalize():f}" for each, value in found.items())

    return check


def retired_are_not_listed(evidence: Evidence) -> str | None:
    """An enterprise account may still have them."""
    served = sorted(set(RETIRED_MODELS) & set(_models(evidence.models)))
    return f"this key is served {', '.join(served)}: set GROQ_MODEL_ALIASES={{}} to use them" if served else None


def entries(evidence: Evidence) -> str | None:
    """Whether models are described in the fields that the service reads."""
    for name, entry in _models(evidence.models).items():
        if entry["object"] != "model" or not isinstance(entry["owned_by"], str) or type(entry["created"]) is not int:
            return f"{name}: {json.dumps(entry)[:200]}"
        if "pricing" in entry and entry["pricing"] is not None:
            for value in entry["pricing"].values():
                if not isinstance(value, str):
                    return f"{name}: a price is no text: {json.dumps(entry['pricing'])}"
    return None


def sizes(evidence: Evidence) -> str | None:
    """Under which names the sizes stand."""
    known = {"context_window", "context_length"}, {"max_completion_tokens", "max_output_length"}
    for name, entry in _models(evidence.models).items():
        if not all(names & set(entry) for names in known):
            return f"{name} has {', '.join(sorted(entry))}"
    return None


def events(evidence: Evidence) -> str | None:
    reply = evidence.stream
    media_type = reply.headers.get("content-type", "")
    if not media_type.startswith("text/event-stream"):
        return f"content-type: {media_type}"
    return None if reply.chunks and reply.events[-1] == "[DONE]" else f"the last event is {reply.events[-1][:80]}"


def opening(evidence: Evidence) -> str | None:
    first = evidence.stream.chunks[0]
    (choice,) = first["choices"]
    is_usual = choice["delta"] == {"role": "assistant", "content": ""} and choice["finish_reason"] is None
    return None if is_usual and first["x_groq"]["id"].startswith("req_") else json.dumps(first)[:300]


def reasoning(evidence: Evidence) -> str | None:
    deltas = [choice["delta"] for chunk in evidence.stream.chunks for choice in chunk["choices"]]
    thoughts = [delta for delta in deltas if set(delta) == {"reasoning", "channel"} and delta["channel"] == "analysis"]
    found = sorted({", ".join(sorted(delta)) for delta in deltas})
    return None if thoughts else f"the deltas have: {'; '.join(found)}"


def final(evidence: Evidence) -> str | None:
    finished = [chunk for chunk in evidence.stream.chunks if chunk["choices"] and chunk["choices"][0]["finish_reason"]]
    if len(finished) != 1:
        return f"{len(finished)} chunks have a finish_reason"
    (chunk,) = finished
    delta = chunk["choices"][0]["delta"]
    if delta == {} and chunk["usage"] == chunk["x_groq"]["usage"]:
        return None
    return f"delta {json.dumps(delta)[:100]}, usage {json.dumps(chunk['usage'])}, x_groq {json.dumps(chunk['x_groq'])}"


def usage_alone(evidence: Evidence) -> str | None:
    last = evidence.stream.chunks[-1]
    return None if last["choices"] == [] and last["usage"] and last["service_tier"] else json.dumps(last)[:300]


def usage(evidence: Evidence) -> str | None:
    for told in (evidence.stream.chunks[-1]["usage"], evidence.whole.json["usage"]):
        counts, times = [told[name] for name in _COUNTS], [told[name] for name in _TIMES]
        if not all(type(count) is int for count in counts) or not all(isinstance(time, int | float) for time in times):
            return json.dumps(told)
        if type(told["completion_tokens_details"]["reasoning_tokens"]) is not int:
            return json.dumps(told)
    return None


def one_id(evidence: Evidence) -> str | None:
    ids = {chunk["id"] for chunk in evidence.stream.chunks}
    return None if len(ids) == 1 else f"{len(ids)} ids in one stream"


def whole(evidence: Evidence) -> str | None:
    answer = evidence.whole.json
    if evidence.whole.status != 200:
        return f"{evidence.whole.status}: {json.dumps(answer)[:300]}"
    (choice,) = answer["choices"]
    is_usual = answer["object"] == "chat.completion" and choice["finish_reason"] == "stop"
    is_usual = (
        is_usual and isinstance(choice["message"]["reasoning"], str) and answer["x_groq"]["id"].startswith("req_")
    )
    return None if is_usual else json.dumps(answer)[:300]


def structured(evidence: Evidence) -> str | None:
    content = evidence.whole.json["choices"][0]["message"]["content"]
    value = json.loads(content)
    fits = set(value) == {"city", "sunny"} and isinstance(value["city"], str) and type(value["sunny"]) is bool
    return None if fits else str(content)[:300]


def not_found(evidence: Evidence) -> str | None:
    message = f"The model `{RETIRED}` does not exist or you do not have access to it."
    return _refusal(evidence.retired, 404, {"code": "model_not_found", "message": message})


def no_streamed_json(evidence: Evidence) -> str | None:
    differs = _refusal(evidence.refused, 400, {"type": "invalid_request_error"})
    return differs or (
        None if "does not support streaming" in evidence.refused.error["message"] else _short(evidence.refused)
    )


def unauthorized(evidence: Evidence) -> str | None:
    if differs := _refusal(evidence.unauthorized, 401, {"code": "invalid_api_key", "message": "Invalid API Key"}):
        return differs
    return _ratelimits(evidence.unauthorized.headers) or None


def rate_limit_headers(evidence: Evidence) -> str | None:
    headers = evidence.whole.headers
    for kind in ("requests", "tokens"):
        limit, remaining, reset = (headers.get(f"x-ratelimit-{name}-{kind}", "") for name in _RATE_LIMIT)
        if not (limit.isdecimal() and remaining.isdecimal() and reset and _GO_DURATION.fullmatch(reset)):
            return _ratelimits(headers) or "there are none"
    return None


def no_retry_after(evidence: Evidence) -> str | None:
    found = evidence.whole.headers.get("retry-after")
    return None if found is None else f"retry-after: {found} with {evidence.whole.status}"


def _models(reply: Reply) -> dict[str, Any]:
    if reply.status != 200:
        raise ValueError(_short(reply))
    return {entry["id"]: entry for entry in reply.json["data"]}


def _refusal(reply: Reply, status: int, expected: Mapping[str, str]) -> str | None:
    if reply.status != status:
        return _short(reply)
    return None if reply.error.items() >= expected.items() else _short(reply)


def _short(reply: Reply) -> str:
    return f"{reply.status}: {reply.text[:300]}"


def _ratelimits(headers: Mapping[str, str]) -> str:
    found = {name: value for name, value in headers.items() if "ratelimit" in name}
    return ", ".join(f"{name}: {value}" for name, value in found.items())
