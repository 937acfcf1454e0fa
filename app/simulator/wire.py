"""Groq's formats: events of a stream, and the whole completion."""

import json
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

from app.simulator.answers import Answer
from app.simulator.faults import Fault
from app.simulator.models import Model

DONE = b"data: [DONE]\n\n"


class ChunkWriter:
    """Writes the events of one stream. A fault's `patch_every` changes every chunk, `patch` the last ones."""

    def __init__(self, body: dict[str, Any], model: Model, fault: Fault, request_id: str) -> None:
        self._model = model
        self._seed = body.get("seed")
        self._include_usage = (body.get("stream_options") or {}).get("include_usage")
        self._every = fault.patch_every
        self._last = fault.patch_every | fault.patch
        self._request_id = request_id
        self._id = f"chatcmpl-{uuid4()}"

    def opening(self) -> bytes:
        """The first event: a role and an empty content, which is no token yet."""
        if self._model.compound:
            return b""
        seed = random.getrandbits(31) if self._seed is None else self._seed  # nosec B311
        x_groq = {"id": self._request_id, "seed": seed}
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
        with suppress(AttributeError, LookupError, TypeError, ValueError):  # what the path leads to is not there
            for parent in parents:
                place = place[int(parent)] if isinstance(place, list) else place.setdefault(parent, {})
            place[int(name) if isinstance(place, list) else name] = value
    return content


def _envelope(chunk_id: str, kind: str, model: Model) -> dict[str, Any]:
    return {
        "id": chunk_id,
        "object": kind,
        "created": int(time.time()),
        "model": model.name,
        "system_fingerprint": "fp_5150515051",
    }
