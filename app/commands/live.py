"""`python -m app live`: the running chats of all workers of this machine, from their metrics ports."""

import sys
import time
from datetime import datetime
from http.client import HTTPException
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import msgspec

from app.commands.output import show, table_row
from app.core.config import Settings
from app.observability.metrics_server import CHATS_PATH

_INTERVAL_S = 1
_TIMEOUT_S = 2
_CLEAR = "\x1b[H\x1b[J"
_WIDTHS = {"worker": 6, "id": 36, "client": 16, "model": 24, "age": 8, "tokens": 6, "token/s": 7, "silence": 8, "": 11}

_fetch = build_opener(ProxyHandler({})).open


class _Worker(msgspec.Struct):
    """What a worker answers. Another program on its port answers something else."""

    worker: int
    chats: list[dict[str, Any]]


def live(settings: Settings, *, once: bool) -> int:
    """Shows the chats every second until Ctrl-C, or once. Returns the exit code."""
    try:
        while True:
            answers = _workers(settings)
            clear = "" if once or not sys.stdout.isatty() else _CLEAR
            show(clear + _table(answers), flush=True)
            if once:
                return 0 if answers else 1
            time.sleep(_INTERVAL_S)
    except KeyboardInterrupt:
        return 0


def _workers(settings: Settings) -> list[_Worker]:
    """The answers of the workers that run; a reload uses twice as many ports."""
    host = f"[{settings.metrics_host}]" if ":" in settings.metrics_host else settings.metrics_host
    ports = range(settings.metrics_port, settings.metrics_port + 2 * settings.web_concurrency)
    answers: list[_Worker] = []
    for port in ports:
        try:
            with _fetch(f"http://{host}:{port}{CHATS_PATH}", timeout=_TIMEOUT_S) as response:
                answers.append(msgspec.json.decode(response.read(), type=_Worker))
        except (OSError, URLError, UnicodeError, HTTPException, msgspec.DecodeError):  # no worker, or another program
            continue
    return answers


def _table(answers: list[_Worker]) -> str:
    chats = [{**chat, "worker": answer.worker} for answer in answers for chat in answer.chats]
    lines = [f"running chats: {len(chats)}, workers: {len(answers)}, {datetime.now().astimezone():%H:%M:%S}"]
    if not answers:
        lines.append("no worker answers; METRICS_HOST, METRICS_PORT and WEB_CONCURRENCY must be those of the service")
    if chats:
        lines.append(table_row({name: name for name in _WIDTHS}, _WIDTHS))
    lines += [table_row(_cells(chat), _WIDTHS) for chat in sorted(chats, key=lambda chat: -chat["age_ms"])]
    return "\n".join(lines)


def _cells(chat: dict[str, Any]) -> dict[str, str]:
    seconds = (chat["age_ms"] - (chat["ttft_ms"] or chat["age_ms"]) - chat["silence_ms"]) / 1000
    return {
        "worker": str(chat["worker"]),
        "id": chat["id"],
        "client": chat["client"] or "-",
        "model": chat["model_name"],
        "age": f"{chat['age_ms'] / 1000:.1f} s",
        "tokens": str(chat["tokens"]),
        "token/s": f"{chat['tokens'] / seconds:.0f}" if seconds > 0 else "-",
        "silence": f"{chat['silence_ms'] / 1000:.1f} s",
        "": "client left" if chat["client_left_at"] else "",
    }
