"""Groq's formats: events of a stream, the whole completion, errors."""

import json
import random
import time
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from starlette.responses import JSONResponse

from app.simulator.answers import Answer
from app.simulator.models import Model

DONE = b"data: [DONE]\n\n"


class Refused(Exception):
    """An error response. `retry_after_s` is in whole seconds; the headers are those of any response."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = "invalid_request_error",
        retry_after_s: int | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = error_body(message, kind, **fields)
        self.retry_after_s = retry_after_s

    def response(self, headers: dict[str, str]) -> JSONResponse:
        retry = {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}
        return JSONResponse(self.body, self.status, headers | retry)


def error_body(message: str, kind: str = "invalid_request_error", **fields: Any) -> dict[str, Any]:
    """Groq's error envelope: `code` and other fields are there only where Groq has them."""
    return {"error": {"message": message, "type": kind} | fields}


ERROR_BODIES: dict[int, dict[str, Any]] = {
    401: error_body("Invalid API Key", code="invalid_api_key"),
    403: error_body("Access denied. Please check your network settings."),
    413: error_body("Request too large for model", "tokens", code="rate_limit_exceeded"),
    422: error_body("Unprocessable entity"),
    429: error_body("Rate limit reached for model. Please try again in 1s.", "tokens", code="rate_limit_exceeded"),
    498: error_body("Flex tier capacity exceeded", "capacity_exceeded", code="capacity_exceeded"),
    500: error_body("Internal Server Error", "internal_server_error"),
    502: error_body("Bad Gateway", "internal_server_error"),
    503: error_body(
        "The model is currently over capacity. Please try again and back off exponentially.", "internal_server_error"
    ),
}
"""The body that Groq sends with each status."""


class ChunkWriter:
    """Writes the events of one stream. `patch_every` is applied to every chunk, `patch` to the last ones."""

    def __init__(
        self,
        model: Model,
        *,
        request_id: str,
        include_usage: bool,
        patch_every: Mapping[str, Any],
        patch: Mapping[str, Any],
    ) -> None:
        self._model = model
        self._every = patch_every
        self._last = {**patch_every, **patch}
        self._request_id = request_id
        self._include_usage = include_usage
        self._id = f"chatcmpl-{uuid4()}"

    def opening(self, seed: int | None) -> bytes:
        """The first event: a role and an empty content, which is no token yet."""
        if self._model.compound:
            return b""
        x_groq = {"id": self._request_id, "seed": random.getrandbits(31) if seed is None else seed}  # nosec B311
        return self._chunk({"role": "assistant", "content": ""}, x_groq=x_groq)

    def tokens(self, answer: Answer) -> Iterator[bytes]:
        """One event a token; a tool call is one event."""
        for word in answer.reasoning:
            yield self._chunk({"reasoning": word} | ({"channel": "analysis"} if self._model.harmony else {}))
        for word in answer.content:
            yield self._chunk({"content": word})
        for word in answer.refusal:
            yield self._chunk({"refusal": word})
        for call in answer.tool_calls:
            yield self._chunk({"tool_calls": [call]})

    def final(self, answer: Answer) -> bytes:
        """The finish_reason, and the usage in both of its places; then the usage alone, if it was asked for."""
        x_groq = {"id": self._request_id, "usage": answer.usage}
        data = self._chunk({}, finish_reason=answer.finish_reason, x_groq=x_groq, usage=answer.usage, last=True)
        if self._include_usage:
            usage = {"choices": [], "usage": answer.usage, "service_tier": "on_demand"}
            data += event(patched(self._envelope() | usage, self._last))
        return data

    def early_stop(self, reason: str) -> bytes:
        """The last event of an answer that stopped for a reason of Groq's own: no finish_reason, no usage."""
        return self._chunk({}, x_groq={"id": self._request_id, "error": reason})

    def _chunk(
        self, delta: dict[str, Any], *, finish_reason: str | None = None, last: bool = False, **fields: Any
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = self._envelope(last=last) | {"choices": [choice]} | fields
        return event(patched(chunk, self._last if last else self._every))

    def _envelope(self, *, last: bool = False) -> dict[str, Any]:
        if self._model.compound:
            self._id = "stub" if last else f"chatcmpl-{uuid4()}"
        return _envelope(self._id, "chat.completion.chunk", self._model)


def completion(answer: Answer, model: Model, *, request_id: str) -> dict[str, Any]:
    """The answer to a request that does not stream."""
    message: dict[str, Any] = {"role": "assistant"}
    if answer.tool_calls:
        message["tool_calls"] = [
            {key: value for key, value in call.items() if key != "index"} for call in answer.tool_calls
        ]
    else:
        message["content"] = None if answer.refusal else "".join(answer.content)
    if answer.refusal:
        message["refusal"] = "".join(answer.refusal)
    if answer.reasoning:
        message["reasoning"] = "".join(answer.reasoning)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
    return _envelope(f"chatcmpl-{uuid4()}", "chat.completion", model) | {
        "choices": [choice],
        "usage": answer.usage,
        "usage_breakdown": None,
        "x_groq": {"id": request_id},
        "service_tier": "on_demand",
    }


def to_json(content: dict[str, Any]) -> bytes:
    """As Groq writes it. Half a surrogate pair stays an escape."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def event(content: dict[str, Any], name: str | None = None) -> bytes:
    """One server-sent event."""
    head = f"event: {name}\n".encode() if name else b""
    return b"%bdata: %b\n\n" % (head, to_json(content))


def patched(content: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with each value set at its path, such as `choices.0.delta.content`."""
    if not patch:
        return content
    content = json.loads(json.dumps(content))  # the usage is one object in two places
    for path, value in patch.items():
        *parents, name = path.split(".")
        place: Any = content
        for parent in parents:
            if isinstance(place, list):
                place = place[int(parent)] if parent.isdecimal() and int(parent) < len(place) else None
            else:
                place = place.setdefault(parent, {}) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[name] = value
        elif isinstance(place, list) and name.isdecimal() and int(name) < len(place):
            place[int(name)] = value
    return content


def _envelope(chunk_id: str, kind: str, model: Model) -> dict[str, Any]:
    return {
        "id": chunk_id,
        "object": kind,
        "created": int(time.time()),
        "model": model.name,
        "system_fingerprint": "fp_5150515051",
    }
