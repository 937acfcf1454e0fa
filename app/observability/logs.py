"""One pipe for every log line, ours and the libraries': colours on a terminal, one JSON object a line elsewhere."""

import asyncio
import json
import logging
import sys
from contextlib import suppress
from typing import Any, Literal, TextIO, cast

import msgspec
import structlog

_LIBRARIES_AT_WARNING = ("aiosqlite", "alembic", "asyncio", "httpx2", "openai", "sqlalchemy.engine", "uvicorn")


def configure(log_format: Literal["auto", "console", "json"]) -> None:
    """Sets up structlog, and hands the standard library's root logger over to it."""
    stdout = cast("TextIO", _Unfailing(sys.stdout))
    human = log_format == "console" or (log_format == "auto" and sys.stdout.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if human else "iso", utc=not human),
    ]
    render: list[structlog.typing.Processor] = (
        [_for_people, structlog.dev.ConsoleRenderer(colors=True, pad_event_to=0, pad_level=False, sort_keys=False)]
        if human
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_json)]
    )
    structlog.configure(
        processors=[*shared, *render],
        logger_factory=structlog.PrintLoggerFactory(stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # its command line gives them handlers of their own
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.error").filters = [_is_news]
    for name in _LIBRARIES_AT_WARNING:
        logging.getLogger(name).setLevel(logging.WARNING)


def _is_news(record: logging.LogRecord) -> bool:
    """A stream that is cut off, by us or by a server that stops, has its own line; uvicorn's would call it a bug."""
    cancelled = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cancelled and record.msg != "ASGI callable returned without completing response."


class _Unfailing:
    """A full disk or a closed pipe behind stdout costs the line, and not the chat that it tells of."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _for_people(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What is unknown, and what the line itself tells, would only push the rest off the screen."""
    return {key: value for key, value in event.items() if value is not None and key != "created_at"}


def _json(event: dict[str, Any], **_: Any) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=str).decode()
    except ValueError:  # half a surrogate pair, which only the standard library writes
        return json.dumps(event, default=str)
