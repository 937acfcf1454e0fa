"""How Groq writes an answer down: events of a stream, the whole completion, error bodies."""

import json
import random
import time
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from app.simulator.answers import Answer
from app.simulator.faults import Fault
from app.simulator.models import Model

DONE = b"data: [DONE]\n\n"


class ChunkWriter:
    """Writes the events of one stream."""

    def __init__(self, model: Model, *, request_id: str, include_usage: bool, fault: Fault | None = None) -> None:
        self._model = model
        self._every = fault.patch_every if fault else {}
        self._last = self._every | (fault.patch if fault else {})
        self._request_id = request_id
        self._include_usage = include_usage
        self._id = f"chatcmpl-{uuid4()}"

    def opening(self, seed: int | None) -> bytes | None:
        """The first event: a role and an empty content, which is no token yet."""
        if self._model.compound:
            return None
        x_groq = {"id": self._request_id, "seed": random.getrandbits(31) if seed is None else seed}  # nosec B311
        return self._chunk({"role": "assistant", "content": ""}, x_groq=x_groq)

    def tokens(self, answer: Answer) -> Iterator[bytes]:
        """One event a token; a tool call is one event, whole."""
        for word in answer.reasoning:
            yield self._chunk({"reasoning": word} | ({"channel": "analysis"} if self._model.harmony else {}))
        for word in answer.content:
            yield self._chunk({"content": word})
        for word in answer.refusal:
            yield self._chunk({"refusal": word})
        for call in answer.tool_calls:
            yield self._chunk({"tool_calls": [call]})

    def final(self, answer: Answer) -> Iterator[bytes]:
        """Why it stopped, and the usage in both of its places; once more on its own, if it was asked for."""
        x_groq = {"id": self._request_id, "usage": answer.usage}
        yield self._chunk({}, finish_reason=answer.finish_reason, x_groq=x_groq, usage=answer.usage, last=True)
        if self._include_usage:
            usage = {"choices": [], "usage": answer.usage, "service_tier": "on_demand"}
            yield event(patched(self._envelope() | usage, self._last))

    def early_stop(self, reason: str) -> bytes:
        """The last event of an answer that stopped for a reason of Groq's own: no finish_reason, no usage."""
        return self._chunk({}, x_groq={"id": self._request_id, "error": reason})

    def _chunk(
        self, delta: dict[str, Any], *, finish_reason: str | None = None, last: bool = False, **beside: Any
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = self._envelope(last=last) | {"choices": [choice]} | beside
        return event(patched(chunk, self._last if last else self._every))

    def _envelope(self, *, last: bool = False) -> dict[str, Any]:
        if self._model.compound:
            self._id = "stub" if last else f"chatcmpl-{uuid4()}"
        return _envelope(self._id, "chat.completion.chunk", self._model)


def completion(answer: Answer, model: Model, *, request_id: str) -> dict[str, Any]:
    """The whole answer in one object, for a request that does not stream."""
    message: dict[str, Any] = {"role": "assistant"}
    if not answer.tool_calls:
        message["content"] = None if answer.refusal else "".join(answer.content)
    if answer.refusal:
        message["refusal"] = "".join(answer.refusal)
    if answer.reasoning:
        message["reasoning"] = "".join(answer.reasoning)
    if answer.tool_calls:
        message["tool_calls"] = [
            {key: value for key, value in call.items() if key != "index"} for call in answer.tool_calls
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
    return _envelope(f"chatcmpl-{uuid4()}", "chat.completion", model) | {
        "choices": [choice],
        "usage": answer.usage,
        "usage_breakdown": None,
        "x_groq": {"id": request_id},
        "service_tier": "on_demand",
    }


def event(content: dict[str, Any], name: str | None = None) -> bytes:
    """One server-sent event."""
    data = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {data}\n\n".encode("utf-8", "backslashreplace")  # half a surrogate pair stays an escape


def patched(content: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with each value set at its path, such as `choices.0.delta.content`."""
    if not patch:
        return content
    content = json.loads(json.dumps(content))  # two names of one object become two objects
    for path, value in patch.items():
        *parents, name = path.split(".")
        place: Any = content
        for parent in parents:
            place = _within(place, parent)
        if isinstance(place, dict):
            place[name] = value
        elif isinstance(place, list) and name.isdecimal() and int(name) < len(place):
            place[int(name)] = value
    return content


def _within(place: Any, name: str) -> Any:
    if isinstance(place, list):
        return place[int(name)] if name.isdecimal() and int(name) < len(place) else None
    return place.setdefault(name, {}) if isinstance(place, dict) else None


def error_body(
    message: str, kind: str = "invalid_request_error", code: str | None = None, **beside: Any
) -> dict[str, Any]:
    """Groq's error envelope; `code` is left out where Groq leaves it out."""
    return {"error": {"message": message, "type": kind} | ({"code": code} if code else {}) | beside}


def _envelope(chunk_id: str, kind: str, model: Model) -> dict[str, Any]:
    return {
        "id": chunk_id,
        "object": kind,
        "created": int(time.time()),
        "model": model.name,
        "system_fingerprint": "fp_5150515051",
    }
