"""`[DONE]` is sent after the row is stored."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import httpx2
import pytest

from tests.support.database import execute, query
from tests.support.processes import program
from tests.support.service import DROP_IN, HELLO, PATH, Service, SimulatedGroq
from tests.support.shared import SharedResources


@pytest.fixture(scope="module")
def on_postgres(
    shared: SharedResources,
    groq_process: SimulatedGroq,
    http: httpx2.Client,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """A service with a database of its own."""
    folder = tmp_path_factory.mktemp("receipts")
    url = shared.empty_database("postgres", folder)
    env = {"DATABASE_URL": url, "GROQ_API_KEY": "test", "GROQ_BASE_URL": groq_process.url, "PORT": "0"}
    env |= {"COMMIT_TIMEOUT_S": "10"}
    with program(["app"], cwd=folder, env=env) as running:
        yield Service(running.url(), running, url, http)


async def until_the_commit_waits(connection: asyncpg.Connection) -> None:
    """Waits until the service waits for the lock, and 0.1 s more for anything that it might send too early."""
    waiting_for_lock = "SELECT 1 FROM pg_locks WHERE relation = 'chat_logs'::regclass AND NOT granted"
    async with asyncio.timeout(30):
        while not await connection.fetch(waiting_for_lock):
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)


def test_done_is_sent_after_the_commit(on_postgres: Service, groq: SimulatedGroq) -> None:
    """While the table is locked, everything but `[DONE]` arrives."""

    async def chat_against_a_lock() -> tuple[bytes, bytes]:
        connection = await asyncpg.connect(on_postgres.database_url.replace("+asyncpg", ""))
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute("LOCK TABLE chat_logs IN ACCESS EXCLUSIVE MODE")
            async with (
                httpx2.AsyncClient(timeout=10, trust_env=False) as client,
                client.stream("POST", on_postgres.url + PATH, json=HELLO) as response,
            ):
                pieces = response.aiter_raw()
                before = b""
                while not (b'"finish_reason":"stop"' in before and before.endswith(b"\n\n")):
                    before += await anext(pieces)
                receipt = asyncio.ensure_future(anext(pieces))
                await until_the_commit_waits(connection)
                assert not receipt.done()
                await transaction.rollback()
                return before, await receipt
        finally:
            await connection.close()

    before, after = asyncio.run(chat_against_a_lock())
    assert b"data: [DONE]" not in before
    assert after == b"data: [DONE]\n\n"


def test_completion_without_stream_is_sent_after_the_commit(on_postgres: Service, groq: SimulatedGroq) -> None:
    """Its status is the receipt: none comes while the table is locked."""

    async def chat_against_a_lock() -> httpx2.Response:
        connection = await asyncpg.connect(on_postgres.database_url.replace("+asyncpg", ""))
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute("LOCK TABLE chat_logs IN ACCESS EXCLUSIVE MODE")
            async with httpx2.AsyncClient(timeout=10, trust_env=False) as client:
                answer = asyncio.ensure_future(client.post(on_postgres.url + DROP_IN, json=HELLO))
                await until_the_commit_waits(connection)
                assert not answer.done()
                await transaction.rollback()
                return await answer
        finally:
            await connection.close()

    response = asyncio.run(chat_against_a_lock())
    row = on_postgres.row(response.headers["x-request-id"])
    assert row["response"] == response.json()["choices"][0]["message"]["content"]


def test_without_its_table_the_row_is_stored_in_the_outbox_and_done_is_sent(
    on_postgres: Service, groq: SimulatedGroq
) -> None:
    execute(on_postgres.database_url, "ALTER TABLE chat_logs RENAME TO elsewhere")
    try:
        reply = on_postgres.chat()
        assert reply.done
        assert on_postgres.finished_line(reply.id)["stored_in"] == "outbox"
    finally:
        execute(on_postgres.database_url, "ALTER TABLE elsewhere RENAME TO chat_logs")
    assert on_postgres.row_in_time(reply.id, 20)["response"] == reply.text


@pytest.mark.parametrize("chats", [60, pytest.param(600, marks=pytest.mark.long)])
def test_concurrent_chats_have_one_row_each(service: Service, chats: int) -> None:
    bodies = [{"messages": [{"role": "user", "content": f"chat {number}"}]} for number in range(chats)]
    with ThreadPoolExecutor(40) as pool:
        replies = list(pool.map(service.chat, bodies))
    assert all(reply.done for reply in replies)
    rows = query(service.database_url, "SELECT id, response FROM chat_logs")
    stored = {str(row["id"]): row["response"] for row in rows}
    assert len(stored) == len(rows)
    assert {reply.id: reply.text for reply in replies}.items() <= stored.items()
