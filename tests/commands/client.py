"""A client of a service that `python -m app` has started, and rows without a service."""

import asyncio

import httpx2

from app.core.config import Settings
from app.core.record import ChatRecord
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository
from tests.support.service import PATH, Reply

FREE_PORT = {"PORT": "0"}


def chat(http: httpx2.Client, url: str, prompt: str = "Hello") -> Reply:
    response = http.post(url + PATH, json={"messages": [{"role": "user", "content": prompt}]})
    return Reply(response.status_code, response.headers, response.content)


def insert(database: Settings, *rows: ChatRecord) -> None:
    async def write() -> None:
        engine = create_engine(database)
        await ChatLogRepository(engine).insert([row.storable() for row in rows])
        await engine.dispose()

    asyncio.run(write())
