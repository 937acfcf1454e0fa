"""`python -m app chats`: stored chats, newest first, for a person or, with `--json`, for a program."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from app.commands.output import fail, first_line, show, show_json, table_row
from app.core.chat_query import ChatQuery
from app.core.config import Settings
from app.core.outcomes import Outcome
from app.core.text import printable, printable_json
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository

_PAGE_ROWS = 100
_DEFAULT_ROWS = 10
_TEXT_WIDTH = 130
_WIDTHS = {"id": 36, "created": 19, "model": 24, "outcome": 21, "tokens": 6, "ttft": 9, "total": 9, "cost": 10}


def chats(
    settings: Settings,
    *,
    json: bool,
    limit: int | None,
    since: timedelta | None,
    client: str | None,
    model: str | None,
    outcome: Outcome | None,
    error_code: str | None,
    end_user: str | None,
) -> int:
    """Prints the chats whose columns have these values, unless they are None. Returns the exit code."""
    query = ChatQuery(
        any_client=client is None,
        client=client,
        model=model,
        outcome=outcome,
        error_code=error_code,
        end_user=end_user,
        since=None if since is None else datetime.now(UTC) - since,
        whole=json,
    )
    default = sys.maxsize if json and end_user else _DEFAULT_ROWS
    try:
        if settings.embedded_database and not settings.embedded_database.exists():
            raise FileNotFoundError("there is no such file")  # aiosqlite would print a traceback of its thread
        asyncio.run(_print(settings, query, limit=limit or default))
    except (OSError, SQLAlchemyError) as exc:
        return fail(f"cannot read chats from {settings.database_name}: {first_line(exc)}; `make run` sets it up")
    return 0


async def _print(settings: Settings, query: ChatQuery, *, limit: int) -> None:
    """Reads a page at a time, so that an export fits into memory."""
    engine = create_engine(settings)
    try:
        repository, printed, has_more = ChatLogRepository(engine), 0, True
        while has_more and printed < limit:
            rows, has_more = await repository.page(replace(query, limit=min(limit - printed, _PAGE_ROWS)))
            if rows and not query.whole and not printed:
                show(table_row({name: name for name in _WIDTHS}, _WIDTHS))
            for row in rows:
                if query.whole:
                    show_json(_as_json(row))
                else:
                    show(_as_text(row))
                query, printed = replace(query, after=row["id"]), printed + 1
    finally:
        await engine.dispose()
    if not printed and not query.whole:
        show("no such chats")


def _as_json(row: Mapping[str, Any]) -> str:
    columns = {name: value for name, value in row.items() if name != "has_content"}
    return printable_json(msgspec.json.encode(columns, enc_hook=str).decode())


def _as_text(row: Mapping[str, Any]) -> str:
    cells = {
        "id": str(row["id"]),
        "created": f"{row['created_at'].astimezone():%Y-%m-%d %H:%M:%S}",
        "model": row["model_name"],
        "outcome": row["outcome"],
        "tokens": _or_dash(row["completion_tokens"]),
        "ttft": _or_dash(row["ttft_ms"], "{:.0f} ms"),
        "total": f"{row['duration_ms']:.0f} ms",
        "cost": _or_dash(row["cost_usd"], "${:.6f}"),
    }
    lines = [table_row(cells, _WIDTHS)]
    if row["has_content"]:
        lines += [f"  you   {_one_line(row['prompt'] or '')}", f"  groq  {_one_line(_answer(row))}"]
    else:
        lines.append("  (without content)")
    if row["error_code"]:
        last = (row["attempt_log"] or [{}])[-1]
        lines.append(f"  error {_one_line(': '.join(filter(None, (row['error_code'], last.get('message')))))}")
    return "\n".join(lines)


def _answer(row: Mapping[str, Any]) -> str:
    """The text of the answer, or what it has instead."""
    calls = [each["function"] for each in row["tool_calls"] or [] if isinstance(each, dict) and "function" in each]
    refusal = row["refusal"] and f"(refused) {row['refusal']}"
    return row["response"] or refusal or " ".join(f"→ {each.get('name')}({each.get('arguments')})" for each in calls)


def _or_dash(value: float | None, form: str = "{}") -> str:
    return "-" if value is None else form.format(value)


def _one_line(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= _TEXT_WIDTH else line[: _TEXT_WIDTH - 1] + "…"
