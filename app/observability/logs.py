"""The log: structlog and the standard library write to one output, in one format, and never block."""

import asyncio
import logging
import sys
import threading
from typing import Any

import structlog

from app import __version__
from app.core.config import Settings
from app.observability.conventions import service_name
from app.observability.log_format import for_machines, for_people
from app.observability.log_output import WriteText, log_output

_AT_WARNING = ("aiosqlite", "alembic", "asyncio", "httpx2", "openai", "sqlalchemy.engine", "uvicorn", "uvicorn.error")
_AT_ERROR = ("opentelemetry.attributes", "opentelemetry.exporter", "opentelemetry.trace", "urllib3")
"""Below it they log every retry, and what clients send as `tracestate`."""
_ACCESS = ("uvicorn.access", "gunicorn.access")
_WITH_HANDLERS = ("uvicorn", "uvicorn.error", "gunicorn.error", *_ACCESS)


def configure(settings: Settings, *, worker: str | None = None) -> None:
    """Sets up structlog, the standard library's root logger, warnings and uncaught exceptions. It may be called again.

    Lines for machines name the service and its worker: `worker`, or its number on this machine. Where content is not
    stored, tracebacks have the types of exceptions only: a message may quote a prompt.
    """
    write = log_output().attach(max_bytes=settings.log_queue_bytes, flush_timeout_s=settings.log_flush_timeout_s)
    private = not settings.stores_content
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    if settings.log_format == "console" or (settings.log_format == "auto" and is_terminal):
        processors = for_people(private=private)
    else:
        identity = {
            "service.name": service_name(),
            "service.version": __version__,
            "deployment.environment.name": settings.app_env,
            "worker": str(settings.worker_slot) if worker is None else worker,
        }
        processors = for_machines(identity, private=private)
        _log_crashes()
    lines = _Lines(write)
    structlog.configure(processors=processors, logger_factory=lambda *_: lines, cache_logger_on_first_use=True)
    handler = _LineHandler(lines)
    library = [structlog.stdlib.add_logger_name, structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[*library, *processors]))
    _replace_handlers(handler)


def _replace_handlers(handler: logging.Handler) -> None:
    # Whatever level is set for them: below this one, libraries quote what they handle, prompts and keys.
    handler.setLevel(logging.INFO)
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    for name in _WITH_HANDLERS:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name not in _ACCESS  # each chat has a line of its own
    logging.getLogger("uvicorn.error").filters = [_is_relevant]
    for name in _AT_WARNING:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _AT_ERROR:
        logging.getLogger(name).setLevel(logging.ERROR)


def _log_crashes() -> None:
    """Makes one line of an uncaught exception, in the main thread and in others."""
    log = structlog.get_logger("crash")

    def hook(kind: type[BaseException], exc: BaseException, traceback: Any) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, exc, traceback)
        else:
            log.critical("process.crashed", exc_info=(kind, exc, traceback))

    sys.excepthook = hook
    threading.excepthook = lambda args: hook(args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)


def _is_relevant(record: logging.LogRecord) -> bool:
    """Returns False for uvicorn's lines about chats that were cancelled: `chat.finished` reports those."""
    cancelled = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not cancelled and record.msg != "ASGI callable returned without completing response."


class _Lines:
    """The logger of structlog, with lines as messages, and the stream of the standard library's handler.

    structlog's own loggers take a lock that a signal handler, which logs in the middle of a line, would wait for.
    """

    def __init__(self, write: WriteText) -> None:
        self.write = write

    def msg(self, line: str) -> None:
        self.write(line + "\n")

    log = debug = info = warn = warning = fatal = err = error = critical = exception = msg


class _LineHandler(logging.StreamHandler[_Lines]):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except RecursionError:  # the base class raises it in the code that logs
            self.handleError(record)
