"""How long the queries take that come with the service: Grafana's, and that of `make chats`."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from datetime import timedelta

from app.core.outcomes import WITHOUT_ROW, Outcome
from loadtests.bench.report import Section, number
from loadtests.rows.filled import Filled
from tests.support.grafana import as_sent, statements

_RANGES = {"6 h": timedelta(hours=6), "7 d": timedelta(days=7)}
_TIMES = 5
_MODELS = ["openai/gpt-oss-20b", "openai/gpt-oss-120b", "other"]


def reading(filled: Sequence[Filled]) -> Section:
    """Each query for each range; the answers of all shapes have to be of one length."""
    asked = _questions(filled[0])
    took = {each.shape.name: asyncio.run(_ask(each, list(asked.values()))) for each in filled}
    return Section(
        "Reading",
        f"Grafana's queries over the last hours and days, and the last rows, in ms: the median of {_TIMES}.",
        ["", *(each.shape.name for each in filled)],
        [[name, *(number(took[each.shape.name][n]) for each in filled)] for n, name in enumerate(asked)],
    )


def _questions(filled: Filled) -> dict[str, str]:
    outcomes: list[str] = [*(set(Outcome) - WITHOUT_ROW)]
    found = {"the last ten rows": "SELECT * FROM chat_logs ORDER BY id DESC LIMIT 10"}
    for told, length in _RANGES.items():
        for each in statements():
            sql = as_sent(each.sql, filled.last - length, filled.last, outcome=outcomes, model=_MODELS, id="")
            found[f"{each.panel}, {told}"] = sql
    trace = as_sent(
        next(each.sql for each in statements() if each.panel == "The chat"),
        filled.last - _RANGES["7 d"],
        filled.last,
        outcome=outcomes,
        model=_MODELS,
        id="0" * 32,
    )
    return {**found, "The chat by a trace's id that is not there, 7 d": trace}


async def _ask(filled: Filled, questions: Sequence[str]) -> list[float]:
    async with filled.connected() as connection:
        return [await _median_ms(connection, sql) for sql in questions]


async def _median_ms(connection: object, sql: str) -> float:
    times = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        await connection.fetch(sql)  # type: ignore[attr-defined] # asyncpg has no types
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)
