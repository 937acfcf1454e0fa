"""Checks before the start: one sentence for each problem, instead of workers that crash."""

import errno
import os
import socket
import sqlite3
import sys
import time
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from app.core.config import Settings
from app.core.environment import (
    already_read,
    explain,
    invalid_settings,
    read_settings,
    renamed_settings,
    with_invalid_defaulted,
)
from app.db.outbox_file import OutboxFile
from app.quota import redis_problems
from app.services.groq.connector import proxy_problems

_HIGHEST_SUGGESTED_PORT = 60_000
_ORPHANED_WORKERS_S = 3


def settings_or_exit() -> Settings:
    """Returns valid settings, or exits with one sentence for each problem.

    The outbox is checked only at the first start: a replaced worker can run on a full disk while the database is
    healthy.
    """
    first_start = not already_read()
    settings, problems = read_and_check()
    if settings and settings.app_env == "development":
        problems += groq_problems(settings)
    if settings and first_start:
        problems += outbox_problems(settings)
    if settings is None or problems:
        sys.exit("\n".join(problems))
    return settings


def read_and_check(*, serves: bool = True) -> tuple[Settings | None, list[str]]:
    """Returns the settings and one sentence for each problem; `serves` includes what production requires.

    With problems, invalid settings have their defaults, or the settings are None if that is impossible.
    """
    try:
        settings = read_settings()
    except ValidationError as exc:
        defaulted = with_invalid_defaulted(exc)
        named = tuple(f"{name.upper()}:" for name in invalid_settings(exc))
        more = _problems(defaulted) if defaulted and serves else []
        sentences = [sentence for sentence in more if not sentence.startswith(named)]
        return defaulted, renamed_settings() + explain(exc) + sentences
    except UnicodeDecodeError:
        return None, [".env is not a text file in UTF-8"]
    return settings, renamed_settings() + (_problems(settings) if serves else [])


def _problems(settings: Settings) -> list[str]:
    problems = production_problems(settings) + _certificate_problems(settings)
    return problems + redis_problems(settings) + proxy_problems(settings)


def production_problems(settings: Settings) -> list[str]:
    """Returns a sentence for each setting that `APP_ENV=production` requires and that is missing."""
    if settings.app_env != "production":
        return []
    embedded = settings.embedded_database is not None
    sentences = {
        "API_KEYS: set it; only APP_ENV=development runs without authentication": not settings.needs_key,
        "GROQ_API_KEY: set it; the simulator is only for development": settings.groq_api_key is None,
        "GROQ_BASE_URL: use https://; the key and all prompts are secrets": _is_unencrypted(settings.groq_base_url),
        "DATABASE_URL: set it to a PostgreSQL; the embedded database is only for development": embedded,
        "DATABASE_URL: add ?sslmode=verify-full and &sslrootcert=/path/of/ca.crt; prompts and answers are secrets": (
            _is_unverified(settings)
        ),
    }
    return [sentence for sentence, missing in sentences.items() if missing]


def _is_unencrypted(url: str) -> bool:
    """Whether requests to this URL can be read on the network. Requests to this machine cannot."""
    parts = urlsplit(url)
    return parts.scheme != "https" and not _is_this_machine(parts.hostname or "")


def _is_unverified(settings: Settings) -> bool:
    """Whether another machine could pass for the PostgreSQL, or read what it is sent."""
    url = urlsplit(settings.database_url.get_secret_value())
    hosts = parse_qs(url.query).get("host", [url.hostname or ""])
    is_local = all(_is_this_machine(each.partition(":")[0]) for host in hosts for each in host.split(","))
    return settings.embedded_database is None and not is_local and not _tls(settings)["sslmode"].startswith("verify-")


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.startswith("/")  # a Unix socket


def _certificate_problems(settings: Settings) -> list[str]:
    """Returns a sentence if the root certificate is missing, with which PostgreSQL's certificate is verified."""
    tls = _tls(settings)
    if not tls["sslmode"].startswith("verify-") or os.access(tls["sslrootcert"], os.R_OK):
        return []
    return [f"DATABASE_URL: {tls['sslrootcert']} is no certificate; add &sslrootcert=/path/of/ca.crt"]


def _tls(settings: Settings) -> dict[str, str]:
    """The mode and the certificate, from where asyncpg takes them."""
    query = parse_qs(urlsplit(settings.database_url.get_secret_value()).query)
    mode = [*query.get("sslmode", []), *query.get("ssl", []), os.environ.get("PGSSLMODE", "")]
    root = [*query.get("sslrootcert", []), os.environ.get("PGSSLROOTCERT") or "~/.postgresql/root.crt"]
    return {"sslmode": mode[0], "sslrootcert": str(Path(root[0]).expanduser())}


def groq_problems(settings: Settings) -> list[str]:
    """Returns a sentence if there is neither a key nor a simulator."""
    try:
        _ = settings.groq_endpoint
    except ValueError as exc:
        return [str(exc)]
    return []


def outbox_problems(settings: Settings) -> list[str]:
    """Returns a sentence if the outbox cannot be written. SQLite needs none; production refuses it as the database."""
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
    """Checks the public port and the metrics ports, of which a reload needs two per worker. Exits if one is in use.

    Workers whose master was killed keep their ports for a moment.
    """
    deadline = time.monotonic() + _ORPHANED_WORKERS_S
    wanted = [("PORT", settings.host, settings.port)]
    if settings.metrics_port:
        slots = range(2 * settings.web_concurrency)
        wanted += [("METRICS_PORT", settings.metrics_host, settings.metrics_port + slot) for slot in slots]
    for name, host, port in wanted:
        while reason := port_problem(host, port):
            if reason != os.strerror(errno.EADDRINUSE) or time.monotonic() > deadline:
                sys.exit(cannot_listen(name, host, port, reason))
            time.sleep(0.1)


def port_problem(host: str, port: int) -> str | None:
    """The reason why the port cannot be used; None if it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except (OSError, OverflowError) as exc:
        return reason(exc)
    return None


def reason(exc: Exception) -> str:
    """The operating system's message, without what asyncio adds."""
    return (getattr(exc, "strerror", None) or str(exc)).partition(" (")[0]


def cannot_listen(name: str, host: str, port: int, reason: str) -> str:
    """The sentence about a port, with a suggestion."""
    another = port + 1 if port < _HIGHEST_SUGGESTED_PORT else _HIGHEST_SUGGESTED_PORT
    return (
        f"cannot listen on {host}:{port} ({reason}): set {name} to a free port, for example {name}={another}, "
        f"or {name.replace('PORT', 'HOST')} to an address of this machine"
    )
