"""What can be known before anything is forked: one sentence each, instead of workers that come and go."""

import errno
import os
import socket
import sqlite3
import sys
import time
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import ValidationError

from app.core.config import Settings
from app.core.environment import explain, read_settings, renamed_settings, those_that_are_right, were_read, wrong
from app.db.outbox_file import OutboxFile
from app.quota import redis_problems
from app.services.groq.connector import proxy_problems

_HIGH = 60_000
_ORPHANS_END_S = 3


def settings_or_exit() -> Settings:
    """Settings that the service can run on. What speaks against them is said at once, a sentence each.

    The disk is looked at by whoever reads them first: a worker that is replaced may find it full, and the database
    well.
    """
    at_the_start = not were_read()
    settings, problems = read_and_check()
    if settings and settings.app_env == "development":
        problems += groq_problems(settings)
    if settings and at_the_start:
        problems += outbox_problems(settings)
    if settings is None or problems:
        sys.exit("\n".join(problems))
    return settings


def read_and_check(*, serves: bool = True) -> tuple[Settings | None, list[str]]:
    """The settings, and a sentence for each that is wrong, or missing where production `serves`.

    With sentences, they are for finding more of them: what is wrong has its default. None where that is impossible.
    """
    try:
        settings = read_settings()
    except ValidationError as exc:
        others = those_that_are_right(exc)
        named = tuple(f"{name.upper()}:" for name in wrong(exc))
        more = _problems(others) if others and serves else []
        sentences = [sentence for sentence in more if not sentence.startswith(named)]
        return others, renamed_settings() + explain(exc) + sentences
    except UnicodeDecodeError:
        return None, [".env is not a text file in UTF-8"]
    return settings, renamed_settings() + (_problems(settings) if serves else [])


def _problems(settings: Settings) -> list[str]:
    return missing_in_production(settings) + redis_problems(settings) + proxy_problems(settings)


def missing_in_production(settings: Settings) -> list[str]:
    """What `APP_ENV=production` does not run without: a sentence each."""
    if settings.app_env != "production":
        return []
    embedded = settings.embedded_database is not None
    sentences = {
        "API_KEYS: set it; only APP_ENV=development runs without authentication": not settings.needs_key,
        "GROQ_API_KEY: set it; a simulator is for development alone": settings.groq_api_key is None,
        "GROQ_BASE_URL: use https://, or the key and all prompts travel in clear": _is_in_clear(settings.groq_base_url),
        "DATABASE_URL: set it to a PostgreSQL; the embedded database is for development alone": embedded,
    }
    return [sentence for sentence, missing in sentences.items() if missing]


def _is_in_clear(url: str) -> bool:
    """Whether others on its way can read what is sent there; nobody is on the way to this machine itself."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        is_here = ip_address(host).is_loopback
    except ValueError:
        is_here = host == "localhost"
    return parts.scheme != "https" and not is_here


def groq_problems(settings: Settings) -> list[str]:
    """Where neither Groq nor a simulator could be asked: the sentence."""
    try:
        _ = settings.groq_endpoint
    except ValueError as exc:
        return [str(exc)]
    return []


def outbox_problems(settings: Settings) -> list[str]:
    """Rows need a disk to wait on while PostgreSQL is unavailable: the sentence, where there is none."""
    if settings.embedded_database is not None and settings.app_env != "production":
        return []
    file = OutboxFile(settings.outbox_dir, database="")
    try:
        file.check()
    except (OSError, sqlite3.Error) as exc:
        where = f"{settings.outbox_dir.absolute()} ({getattr(exc, 'strerror', None) or exc})"
        return [f"OUTBOX_DIR: no rows can be written to {where}; set it to a folder on a disk of this machine"]
    finally:
        file.close()
    return []


def check_ports(settings: Settings) -> None:
    """The public port, and the metrics ports: twice as many as workers, for a reload. Stops if one is not to be had.

    Workers whose master was killed have the ports for a moment longer.
    """
    deadline = time.monotonic() + _ORPHANS_END_S
    wanted = [("PORT", settings.host, settings.port)]
    if settings.metrics_port:
        slots = range(2 * settings.web_concurrency)
        wanted += [("METRICS_PORT", settings.metrics_host, settings.metrics_port + slot) for slot in slots]
    for name, host, port in wanted:
        while reason := why_not(host, port):
            if reason != os.strerror(errno.EADDRINUSE) or time.monotonic() > deadline:
                sys.exit(cannot_listen(name, host, port, reason))
            time.sleep(0.1)


def why_not(host: str, port: int) -> str | None:
    """Why nothing can listen there; None if something can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except (OSError, OverflowError) as exc:
        return reason(exc)
    return None


def reason(exc: Exception) -> str:
    """The system's words, without what asyncio's servers would add to them."""
    return (getattr(exc, "strerror", None) or str(exc)).partition(" (")[0]


def cannot_listen(name: str, host: str, port: int, reason: str) -> str:
    """The sentence, with a way out."""
    another = port + 1 if port < _HIGH else _HIGH
    return (
        f"cannot listen on {host}:{port} ({reason}): set {name} to a free port, for example {name}={another}, "
        f"or {name.replace('PORT', 'HOST')} to an address of this machine"
    )
