"""One pipe for every log line, ours and the libraries': colours on a terminal, one JSON object a line elsewhere."""

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any, TextIO

import msgspec
import structlog

from app.core.config import Settings
from app.core.printable import printable, printable_json, printable_lines
from app.observability.log_output import WriteLine, log_output
from app.observability.trace_context import ids, traceresponse
from app.observability.tracebacks import ExcInfo, without_messages

_AT_WARNING = ("aiosqlite", "alembic", "asyncio", "httpx2", "openai", "sqlalchemy.engine", "uvicorn", "uvicorn.error")
_AT_ERROR = ("opentelemetry.attributes", "opentelemetry.exporter", "urllib3")  # below it they tell of every repeat
_WITH_A_PIPE_OF_THEIR_OWN = ("uvicorn", "uvicorn.error", "uvicorn.access", "gunicorn.error", "gunicorn.access")

_Event = structlog.typing.EventDict


def configure(settings: Settings, identity: Mapping[str, Any] | None = None) -> None:
    """Sets up structlog, and hands the standard library's root logger over to it. A line never blocks who writes it.

    `identity` stands in every line for machines: which service, which worker. Where content is not stored, tracebacks
    have only the types of exceptions: a message may quote a prompt.
    """
    write = log_output.attach(
        max_bytes=settings.log_queue_bytes,
        flush_timeout_s=settings.log_flush_timeout_s,
        on_recovered=_report_dropped,
    )
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    human = settings.log_format == "console" or (settings.log_format == "auto" and is_terminal)
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
            exception_formatter=_plain_traceback if settings.stores_content else _traceback_without_messages,
        )
        to_text: list[structlog.typing.Processor] = [_for_people, console]
        to_bytes: list[structlog.typing.Processor] = [*to_text, _encode]
    else:
        private = structlog.processors.ExceptionRenderer(without_messages)
        exceptions = structlog.processors.format_exc_info if settings.stores_content else private
        shared += [_with_trace, _with(identity or {}), exceptions]
        to_text, to_bytes = [_to_text], [_to_bytes]
    structlog.configure(
        processors=[*shared, *to_bytes],
        logger_factory=lambda *_: _LineLogger(write),
        cache_logger_on_first_use=True,
    )
    handler = _LineHandler(write)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *to_text],
        )
    )
    _hand_over_to(handler)
    if not human:
        _hand_over_crashes()


def _report_dropped(count: int) -> None:
    # A new logger each time: one that gunicorn's master had used would say in its workers that they are the master.
    structlog.get_logger(__name__).warning("log.lines_dropped", count=count)


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


class _LineLogger:
    """What structlog gives a line to that has been rendered."""

    def __init__(self, write: WriteLine) -> None:
        self._write = write

    def msg(self, line: bytes) -> None:
        self._write(line + b"\n")

    log = debug = info = warn = warning = fatal = err = error = critical = exception = msg


class _LineHandler(logging.Handler):
    """The same for the standard library's records."""

    def __init__(self, write: WriteLine) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(_encode(None, "", self.format(record)) + b"\n")
        except Exception:  # noqa: BLE001 - as the standard library's own handlers do
            self.handleError(record)


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


def _for_people(_: Any, __: str, event: _Event) -> _Event:
    """What is unknown, and what the line itself tells, would only push the rest off the screen."""
    return {
        key: value if key == "exc_info" else _shown(value)
        for key, value in event.items()
        if value is not None and key != "created_at"
    }


def _shown(value: Any) -> Any:
    """Text that cannot steer the terminal. The message of a library may have several lines."""
    if isinstance(value, str):
        return printable_lines(value)
    return value if isinstance(value, int | float) else printable(repr(value))


def _plain_traceback(output: TextIO, exc_info: Any) -> None:
    """The library's others show the values of variables; this one too has the messages of exceptions."""
    text = StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    output.write(printable_lines(text.getvalue()))


def _traceback_without_messages(output: TextIO, exc_info: ExcInfo) -> None:
    output.write("\n" + printable_lines(without_messages(exc_info)))


def _encode(_: Any, __: str, text: Any) -> bytes:
    encoded: bytes = text.encode(errors="replace")
    return encoded


def _to_bytes(_: Any, __: str, event: _Event) -> bytes:
    try:
        line = msgspec.json.encode(event, enc_hook=str)
    except ValueError:  # half a surrogate pair, which only the standard library writes
        line = json.dumps(event, default=str).encode()
    # JSON has escapes for the other control characters; these steer the terminals of those who look at the log.
    return line if line.isascii() and b"\x7f" not in line else printable_json(line.decode()).encode()


def _to_text(_: Any, __: str, event: _Event) -> str:
    return _to_bytes(_, __, event).decode()
