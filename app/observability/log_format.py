"""The text of a log line: one JSON object for machines, colours for people on a terminal."""

import json
import traceback
from collections.abc import Mapping
from io import StringIO
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, ExcInfo, Processor

from app.core.text import printable, printable_json, printable_lines
from app.observability.spans import trace_ids

_OF_A_CHAT = (
    "event", "level", "timestamp", "outcome", "error_code", "client", "model_name", "completion_tokens", "ttft_ms",
    "duration_ms", "cost_usd", "request_id", "exc_info", "exception", "error", "failed_with",
)  # fmt: skip
"""The fields of a chat in a line for people; JSON has all fields."""
_DIRECT_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"


def for_machines(identity: Mapping[str, Any], *, private: bool) -> list[Processor]:
    """JSON with `identity` in every line. `private`: tracebacks have no messages of exceptions."""

    def add_identity(_: Any, __: str, event: EventDict) -> EventDict:
        event.update(identity)
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace,
        add_identity,
        structlog.processors.ExceptionRenderer(without_messages) if private else structlog.processors.format_exc_info,
        _to_json,
    ]


def for_people(*, private: bool) -> list[Processor]:
    """Colours, and only printable characters. `private`: tracebacks have no messages of exceptions."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        _to_printable,
        structlog.dev.ConsoleRenderer(
            colors=True,
            pad_event_to=0,
            pad_level=False,
            sort_keys=False,
            exception_formatter=_private_traceback if private else _plain_traceback,
        ),
    ]


def without_messages(exc_info: ExcInfo) -> str:
    """A traceback with the types of the exceptions and not their messages, which may quote a prompt."""
    parts: list[str] = []
    seen: set[int] = set()
    exc: BaseException | None = exc_info[1]
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        frames = "".join(traceback.format_tb(exc.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{type(exc).__qualname__}\n")
        exc = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    return _DIRECT_CAUSE.join(reversed(parts)).removesuffix("\n")


def _add_trace(_: Any, __: str, event: EventDict) -> EventDict:
    """The trace that the line was written in, sampled or not; a line about a chat has its own."""
    return {**trace_ids(), **event}


def _to_json(_: Any, __: str, event: EventDict) -> str:
    try:
        line = msgspec.json.encode(event, enc_hook=str).decode()
    except ValueError:  # half a surrogate pair, which only the standard library writes
        line = json.dumps(event, default=str)
    return printable_json(line)  # JSON escapes only some of the characters that control a terminal


def _to_printable(_: Any, __: str, event: EventDict) -> EventDict:
    """Without unknown values; of a chat only what fits into a line."""
    names = _OF_A_CHAT if event["event"] == "chat.finished" else event
    return {
        name: event[name] if name == "exc_info" else _shown(event[name])
        for name in names
        if event.get(name) is not None
    }


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return printable_lines(value)  # a library's message may have several lines
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 10 else f"{value:.6f}".rstrip("0").rstrip(".")
    return value if isinstance(value, int) else printable(repr(value))


def _plain_traceback(output: TextIO, exc_info: ExcInfo) -> None:
    """Uses the one formatter of structlog that does not show the values of variables."""
    text = StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    output.write(printable_lines(text.getvalue()))


def _private_traceback(output: TextIO, exc_info: ExcInfo) -> None:
    output.write("\n" + printable_lines(without_messages(exc_info)))
