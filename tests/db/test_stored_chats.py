"""The queries that read chats, on both databases."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from app.core.chat_query import ChatQuery
from app.core.config import Settings
from app.core.outcomes import Outcome
from app.core.record import ChatRecord, without_content
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository
from tests.support.records import record
from tests.support.shared import SharedResources

START = datetime(2026, 11, 22, tzinfo=UTC)


def at(minute: int, **changes: Any) -> ChatRecord:
    """A chat of `me` at this minute."""
    moment = START + timedelta(minutes=minute)
    chat_id = UUID(int=(int(moment.timestamp() * 1000) << 80) + (7 << 76) + minute)
    return record(**{"id": chat_id, "created_at": moment, "client": "me", "error_code": None} | changes)


async def minutes(rows: ChatLogRepository, **query: Any) -> list[int]:
    page = await rows.page(ChatQuery(**{"client": "me"} | query))
    return [int((row["created_at"] - START).total_seconds()) // 60 for row in page.rows]


async def test_pages_follow_each_other_in_both_orders(rows: ChatLogRepository) -> None:
    await rows.insert([at(minute) for minute in range(5)])
    for newest_first, expected in ((True, [4, 3, 2, 1, 0]), (False, [0, 1, 2, 3, 4])):
        query, seen = ChatQuery(client="me", limit=2, newest_first=newest_first), []
        while True:
            page = await rows.page(query)
            seen += [int(row["id"].int % 2**76) for row in page.rows]
            if not page.has_more:
                break
            assert len(page.rows) == 2
            query = ChatQuery(client="me", limit=2, newest_first=newest_first, after=page.rows[-1]["id"])
        assert seen == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [6, 5, 4, 3, 2, 1, 0]),
        ({"model": "small"}, [1]),
        ({"outcome": Outcome.COMPLETED}, [6, 5, 4, 3, 1, 0]),
        ({"outcome": Outcome.UPSTREAM_ERROR}, [2]),
        ({"error_code": "upstream_broken"}, [2]),
        ({"end_user": "somebody"}, [3]),
        ({"since": START + timedelta(minutes=4)}, [6, 5, 4]),
        ({"until": START + timedelta(minutes=2)}, [1, 0]),
        ({"since": START + timedelta(minutes=1), "until": START + timedelta(minutes=3), "model": "small"}, [1]),
        ({"client": None}, [7]),
        ({"client": "another"}, [8]),
        ({"any_client": True, "since": START + timedelta(minutes=6)}, [8, 7, 6]),
        ({"model": "\x00", "end_user": "\ud800"}, []),
    ],
)
async def test_every_condition_applies(rows: ChatLogRepository, query: dict[str, Any], expected: list[int]) -> None:
    failed = {"outcome": Outcome.UPSTREAM_ERROR, "error_code": "upstream_broken"}
    await rows.insert(
        [
            *(at(minute) for minute in (0, 4, 5, 6)),
            at(1, model_name="small"),
            at(2, **failed),
            at(3, end_user="somebody"),
            at(7, client=None),
            at(8, client="another"),
        ]
    )
    assert await minutes(rows, **query) == expected


async def test_page_has_an_excerpt_of_the_prompt_and_no_messages(rows: ChatLogRepository) -> None:
    await rows.insert([at(0, prompt="p" * 1000), without_content(at(1))])
    private, full = (await rows.page(ChatQuery(client="me"))).rows
    assert (full["prompt"], full["has_content"]) == ("p" * 200, True)
    assert (private["prompt"], private["response"], private["has_content"]) == (None, None, False)
    assert not {"messages", "params"} & full.keys()


async def test_page_of_long_answers_ends_early(rows: ChatLogRepository) -> None:
    await rows.insert([at(minute, response="x" * 2**20) for minute in range(8)])
    page = await rows.page(ChatQuery(client="me"))
    assert (len(page.rows), page.has_more) == (4, True)
    rest = await rows.page(ChatQuery(client="me", after=page.rows[-1]["id"]))
    assert (len(rest.rows), rest.has_more) == (4, False)


async def test_chat_is_found_by_the_id_of_its_answer_and_only_by_its_client(rows: ChatLogRepository) -> None:
    mine, latest, theirs = at(0), at(1), at(2, client="another")
    await rows.insert([mine, latest, theirs, at(3, client=None, upstream_response_id="chatcmpl-2")])
    assert await rows.find_id("chatcmpl-1", client="me") == latest.id
    assert await rows.find_id("chatcmpl-1", client="another") == theirs.id
    assert await rows.find_id("chatcmpl-2", client="me") is None
    assert await rows.find_id("chatcmpl-\x00", client="me") is None
    assert await rows.find(theirs.id, client="me", messages=True) is None
    assert await rows.find(mine.id, client=None, messages=True) is None
    found = await rows.find(mine.id, client="me", messages=True)
    assert found
    assert (found["id"], found["messages"]) == (mine.id, [{"role": "user", "content": "Hi"}])


def test_slow_read_is_stopped_by_postgresql(shared: SharedResources, tmp_path: Path) -> None:
    url = shared.migrated_database("postgres", tmp_path)

    async def read_a_locked_table() -> None:
        engine = create_engine(Settings(_env_file=None, database_url=url))
        blocker = await asyncpg.connect(url.replace("+asyncpg", ""))
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE chat_logs IN ACCESS EXCLUSIVE MODE")
            async with asyncio.timeout(30):
                with pytest.raises(DBAPIError, match="statement timeout"):
                    await ChatLogRepository(engine, read_timeout_s=0.5).page(ChatQuery())
        await blocker.close()
        await engine.dispose()

    asyncio.run(read_a_locked_table())
