"""One pipe for every log line, ours and the libraries': colours on a terminal, one JSON object a line elsewhere."""

import asyncio
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TextIO, cast

import msgspec
import structlog

from app.observability.trace_context import ids, traceresponse
from app.observability.tracebacks import ExcInfo, without_messages

_AT_WARNING = ("aiosqlite", "alembic", "asyncio", "httpx2", "openai", "sqlalchemy.engine", "uvicorn", "uvicorn.error")
_AT_ERROR = ("opentelemetry.attributes", "opentelemetry.exporter", "urllib3")  # below it they tell of every repeat
_WITH_A_PIPE_OF_THEIR_OWN = ("uvicorn", "uvicorn.error", "uvicorn.access", "gunicorn.error", "gunicorn.access")

_Event = structlog.typing.EventDict


def configure(
    log_format: Literal["auto", "console", "json"],
    identity: Mapping[str, Any] | None = None,
    *,
    exception_messages: bool = True,
) -> None:
    """Sets up structlog, and hands the standard library's root logger over to it.

    `identity` stands in every line for machines: which service, which worker. Without `exception_messages`, tracebacks
    have only the types of exceptions: a message may quote a prompt.
    """
    stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 - a process may be started without one
    human = log_format == "console" or (log_format == "auto" and stdout.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if human else "iso", utc=not human),
    ]
    if human:
        console = structlog.dev.ConsoleRenderer(
            colors=True,
            pad_event_to=0,
            pad_level=False,
            sort_keys=False,
            # The library's other formatters show the values of variables.
            exception_formatter=structlog.dev.plain_traceback if exception_messages else _plain_without_messages,
        )
        render: list[structlog.typing.Processor] = [_for_people, console]
        last: structlog.typing.Processor = console
    else:
        exceptions = structlog.processors.ExceptionRenderer(without_messages)
        shared += [
            _with_trace,
            _with(identity or {}),
            structlog.processors.format_exc_info if exception_messages else exceptions,
        ]
        render, last = [_to_bytes], _to_text
    text, binary = _Unfailing(stdout), _Unfailing(getattr(stdout, "buffer", stdout))
    structlog.configure(
        processors=[*shared, *render],
        logger_factory=structlog.PrintLoggerFactory(cast("Any", text))
        if human
        else structlog.BytesLoggerFactory(cast("Any", binary)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(cast("Any", text))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render[:-1], last],
        )
    )
    _hand_over_to(handler)
    if not human:
        _hand_over_crashes()


def _hand_over_to(handler: logging.Handler) -> None:
    # Whatever level somebody sets for them: below this one, libraries quote what they handle, prompts and keys.
    handler.setLevel(logging.INFO)
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    for name in _WITH_A_PIPE_OF_THEIR_OWN:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name in ("uvicorn.access", "gunicorn.access"):  # each chat has a line of its own
        logging.getLogger(name).propagate = False
    logging.getLogger("uvicorn.error").filters = [_is_news]
    for name in _AT_WARNING:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _AT_ERROR:
        logging.getLogger(name).setLevel(logging.ERROR)


def _hand_over_crashes() -> None:
    """What nobody caught is one line too, in the main thread and in the others."""
    log = structlog.get_logger("crash")

    def hook(kind: type[BaseException], exc: BaseException, traceback: Any) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, exc, traceback)
        else:
            log.critical("crashed", exc_info=(kind, exc, traceback))

    sys.excepthook = hook
    threading.excepthook = lambda args: hook(args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)


def _is_news(record: logging.LogRecord) -> bool:
    """A stream that is cut off, by us or by a server that stops, has its own line; uvicorn's would call it a bug."""
    cancelled = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cancelled and record.msg != "ASGI callable returned without completing response."


class _Unfailing:
    """A full disk or a closed pipe behind stdout costs the line, and not the chat that it tells of."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, line: Any) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(line)
        return len(line)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _with_trace(_: Any, __: str, event: _Event) -> _Event:
    """The trace that the line was written in, sampled or not; a line about a chat brings its own."""
    for name, value in ids(traceresponse()).items():
        event.setdefault(name, value)
    return event


def _with(identity: Mapping[str, Any]) -> Callable[[Any, str, _Event], _Event]:
    def add(_: Any, __: str, event: _Event) -> _Event:
        event.update(identity)
        return event

    return add


def _plain_without_messages(output: TextIO, exc_info: ExcInfo) -> None:
    output.write("\n" + without_messages(exc_info))


def _for_people(_: Any, __: str, event: _Event) -> _Event:
    """What is unknown, and what the line itself tells, would only push the rest off the screen; codes would paint."""
    known = {key: value for key, value in event.items() if value is not None and key != "created_at"}
    return {key: _printable(value) if isinstance(value, str) else value for key, value in known.items()}


def _printable(text: str) -> str:
    return (
        text
        if text.isprintable()
        else "".join(each if each.isprintable() or each == "\n" else "\ufffd" for each in text)
    )


def _to_bytes(_: Any, __: str, event: _Event) -> bytes:
    try:
        return msgspec.json.encode(event, enc_hook=str)
    except ValueError:  # half a surrogate pair, which only the standard library writes
        return json.dumps(event, default=str).encode()


def _to_text(_: Any, __: str, event: _Event) -> str:
    return _to_bytes(_, __, event).decode()
