"""Printed by `run` when the service listens: its address, and commands to try."""

import os
import shlex
import socket
import sys

from app import TITLE
from app.core.config import Settings

_BOLD, _DIM, _YELLOW, _PLAIN = "\033[1m", "\033[2m", "\033[33m", "\033[0m"


def _url(host: str, port: int) -> str:
    """A URL that a browser opens: where all addresses are listened on, the loopback address."""
    if not host.strip("0.:"):  # only zeros
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _first_key() -> str | None:
    """The first key of API_KEYS that is no digest. The settings have digests only."""
    entries = [entry.strip().partition(":")[2].strip() for entry in os.environ.get("API_KEYS", "").split(",")]
    return next((secret for secret in entries if not secret.lower().startswith(("sha256:", "sha-256:"))), None)


def banner(settings: Settings, listener: socket.socket) -> str:
    """Return the text, with colours on a terminal."""
    url = _url(settings.host, listener.getsockname()[1])
    body = '{"messages": [{"role": "user", "content": "Why is the sky blue?"}]}'
    is_terminal = sys.stdout.isatty()
    curl = [f"curl -N {url}/api/v1/chat/stream", "-H 'content-type: application/json'", f"-d {shlex.quote(body)}"]
    if settings.needs_key:
        key = (_first_key() if is_terminal else None) or "<key>"  # a log is no place for a secret
        curl.insert(1, "-H " + shlex.quote(f"authorization: Bearer {key}"))
    groq = (
        f"{_YELLOW}a simulator stands in for Groq{_PLAIN} (there is no GROQ_API_KEY; set one to talk to Groq)"
        if settings.groq_api_key is None
        else settings.groq_base_url
    )
    metrics = f"{_url(settings.metrics_host, settings.metrics_port)}/metrics" if settings.metrics_port else None
    lines = [
        "",
        f"  {_BOLD}{TITLE}{_PLAIN}  {url}",
        f"  {_DIM}groq{_PLAIN}      {groq}",
        f"  {_DIM}database{_PLAIN}  {settings.database_name}",
        "",
        *(["  Open it in a browser, or stream a chat here:"] if settings.shows_page else ["  Stream a chat:"]),
        "    " + " \\\n      ".join(curl),
        "",
        "  Then look at its row:   make chats",
        "  … and at its trace:     make trace",
        f"  The worker's metrics:   {metrics or 'at the port in the log'}",
        *([f"  The API's description:  {url}/docs"] if settings.shows_docs else []),
        "  Stop:                   Ctrl-C",
        "",
    ]
    text = "\n".join(lines)
    if not is_terminal:
        for code in (_BOLD, _DIM, _YELLOW, _PLAIN):
            text = text.replace(code, "")
    return text
