"""An answer as one object, for clients that do not stream: chunks in, a `chat.completion` out. Nothing here waits."""

import json
import re
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Any

import msgspec

_LINE_END = re.compile(r"\r\n|\n|\r")
_TEXTS = {"content", "reasoning", "reasoning_content", "refusal", "arguments", "input"}
"""What comes in pieces; any other text (an id, a name, a role) comes whole."""
_SAID_FIRST = {"id", "created"}
"""What some models change from chunk to chunk: the answer is known by what its first one said."""


class Completion:
    """The chunks of one answer, put together as Groq would have answered without a stream."""

    def __init__(self) -> None:
        self._said: dict[str, Any] = {}
        self._x_groq: dict[str, Any] = {}
        self._choices: list[Any] = []

    def add(self, block: bytes) -> None:
        """Whole events, as they are relayed. Comments and the receipt say nothing of the answer.

        Raises ValueError for what no client could read.
        """
        for data in _data_of_events(block):
            if data.strip() != "[DONE]":
                self._add(_decoded(data))

    def _add(self, chunk: dict[str, Any]) -> None:
        choices = chunk.pop("choices", None) or ()
        _merge_list(self._choices, [{"index": 0, **choice} for choice in choices])
        self._x_groq |= chunk.pop("x_groq", None) or {}
        for name, value in chunk.items():
            if self._said.get(name) is None or (value not in (None, "") and name not in _SAID_FIRST):
                self._said[name] = value

    def as_json(self) -> bytes:
        """The object, once the answer has ended."""
        x_groq = dict(self._x_groq)
        usage = x_groq.pop("usage", None)
        whole = {
            **self._said,
            "object": "chat.completion",
            "choices": [_choice(said) for said in sorted(self._choices, key=_index)],
            "usage": self._said.get("usage") or usage,
            **({"x_groq": x_groq} if x_groq else {}),
        }
        try:
            return msgspec.json.encode(whole, enc_hook=StringIO.getvalue)
        except UnicodeEncodeError:
            # Half of a surrogate pair, which the standard library writes as it came: its other half may follow.
            return json.dumps(whole, default=StringIO.getvalue).encode()


def _choice(said: Mapping[str, Any]) -> dict[str, Any]:
    """One choice, with the message that its deltas make."""
    delta = said.get("delta") or {}
    message = {"role": "assistant", "content": None, **delta}
    message.pop("channel", None)  # of gpt-oss: which of the texts a delta belongs to
    calls = message.pop("tool_calls", None)
    text = message["content"]
    if not (isinstance(text, StringIO) and text.getvalue()):
        message["content"] = None if calls or message.get("function_call") else ""
    if calls:
        message["tool_calls"] = [_without_index(call) for call in sorted(calls, key=_index)]
    beside = {name: value for name, value in said.items() if name != "delta"}
    return {"index": 0, "message": message, "logprobs": None, "finish_reason": None} | beside


def _without_index(call: Any) -> Any:
    """The place of a call among its message's is what a stream needs alone."""
    return {name: value for name, value in call.items() if name != "index"} if isinstance(call, dict) else call


def _merge(into: dict[str, Any], piece: Mapping[str, Any]) -> None:
    """Texts grow, objects and lists are put together in depth, anything else is as it was said last."""
    for name, value in piece.items():
        known = into.get(name)
        if value is None:
            into.setdefault(name, None)
        elif name in _TEXTS and isinstance(value, str):
            if not isinstance(known, StringIO):  # `+=` would copy, for each token, all that came before
                known = into[name] = StringIO()
            known.write(value)
        elif isinstance(value, dict):
            if not isinstance(known, dict):
                known = into[name] = {}
            _merge(known, value)
        elif isinstance(value, list):
            if not isinstance(known, list):
                known = into[name] = []
            _merge_list(known, value)
        elif value != "" or known is None:  # a tool's name may come again, and empty
            into[name] = value


def _merge_list(into: list[Any], pieces: list[Any]) -> None:
    """Objects that say their `index` belong to the one before with the same; anything else is one more."""
    for piece in pieces:
        if isinstance(piece, dict) and "index" in piece:
            same = (known for known in into if isinstance(known, dict) and known.get("index") == piece["index"])
            known = next(same, None)
            if known is None:
                into.append(known := {})
            _merge(known, piece)
        else:
            into.append(piece)


def _index(item: Any) -> int:
    index = item.get("index") if isinstance(item, dict) else None
    return index if isinstance(index, int) else 0


def _decoded(data: str) -> dict[str, Any]:
    try:
        chunk = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeEncodeError):
        chunk = json.loads(data)  # which accepts half of a surrogate pair
    return chunk if isinstance(chunk, dict) else {}


def _data_of_events(block: bytes) -> Iterator[str]:
    """The data of each event, by the standard: its `data` lines, joined."""
    data: list[str] = []
    for line in _LINE_END.split(block.decode("utf-8", errors="replace")):
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data.clear()
