"""`python -m app chats`: the last rows of `chat_logs`, for a person or, with `--json`, for a program."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from app.core.config import Settings
from app.core.printable import printable, printable_json
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository

_TEXT_WIDTH = 130
_WIDTHS = {"id": 36, "created": 19, "model": 24, "outcome": 19, "tokens": 6, "ttft": 8, "total": 8, "cost": 10}


def chats(settings: Settings, *, as_json: bool, limit: int) -> int:
    """Print the last chats, newest first."""
    try:
        if settings.embedded_database and not settings.embedded_database.exists():
            raise FileNotFoundError("there is no such file")  # aiosqlite would print a traceback of its thread
        rows = asyncio.run(_recent(settings, limit))
    except (OSError, SQLAlchemyError) as exc:
        cause = printable(str(getattr(exc, "orig", None) or exc).partition("\n")[0])
        sys.stderr.write(f"cannot read chats from {settings.database_name}: {cause}; `make run` sets it up\n")
        return 1
    if as_json:
        for row in rows:
            facts = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
            print(printable_json(msgspec.json.encode(facts, enc_hook=str).decode()))
    elif rows:
        print(_table(rows))
    else:
        print("no chats yet")
    return 0


async def _recent(settings: Settings, limit: int) -> Sequence[Row[Any]]:
    engine = create_engine(settings)
    try:
        return await ChatLogRepository(engine).recent(limit)
    finally:
        await engine.dispose()


def _table(rows: Sequence[Row[Any]]) -> str:
    lines = ["  ".join(f"{name:<{width}}" for name, width in _WIDTHS.items()).rstrip()]
    for row in rows:
        cells = {
            "id": str(row.id),
            "created": f"{row.created_at.astimezone():%Y-%m-%d %H:%M:%S}",
            "model": row.model_name,
            "outcome": row.outcome,
            "tokens": _or_dash(row.completion_tokens),
            "ttft": _or_dash(row.ttft_ms, "{:.0f} ms"),
            "total": f"{row.duration_ms:.0f} ms",
            "cost": _or_dash(row.cost_usd, "${:.6f}"),
        }
        shown = {name: printable(cell) for name, cell in cells.items()}
        lines.append("  ".join(f"{shown[name][:width]:<{width}}" for name, width in _WIDTHS.items()).rstrip())
        if row.messages is None:
            lines.append("  (without content)")
            continue
        lines.append(f"  you   {_one_line(row.prompt or '')}")
        lines.append(f"  groq  {_one_line(row.response or '')}")
    return "\n".join(lines)


def _or_dash(value: float | None, form: str = "{}") -> str:
    return "-" if value is None else form.format(value)


def _one_line(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= _TEXT_WIDTH else line[: _TEXT_WIDTH - 1] + "…"
