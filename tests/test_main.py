"""The application closes its parts in the right order."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

from fastapi import FastAPI

from app.core.config import Settings
from app.services.chat.block import DONE
from app.services.chat.ports import RequestContext
from app.services.chat_service import ChatService
from tests.support.bodies import parsed
from tests.support.service import HELLO, SimulatedGroq
from tests.support.waiting import until


async def test_shutdown_waits_for_running_streams(
    create_app: Callable[[Settings], FastAPI], database: Settings, groq: SimulatedGroq
) -> None:
    """The last chat still has Groq's client and the writer: it ends with `[DONE]`."""
    groq.fail({"after_tokens": 5, "silence_s": 2})
    before = groq.seen()["requests"]
    app = create_app(database.model_copy(update={"groq_simulator_url": groq.url, "metrics_port": 0}))

    async def chat(chats: ChatService) -> list[bytes]:
        return [block async for block in chats.answer(parsed(HELLO), RequestContext(uuid4()))]

    async with app.router.lifespan_context(app) as state:
        assert state
        running = asyncio.ensure_future(chat(state["chats"]))
        await until(lambda: groq.seen()["requests"] > before, "Groq receives no request")
        assert not running.done()
    assert running.done()
    assert (await running)[-1] == DONE
