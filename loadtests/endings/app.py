"""The service as it is, with a view of what lives inside it."""

import asyncio
import gc
from collections import Counter
from types import AsyncGeneratorType, CoroutineType

from fastapi import FastAPI

from app.groq.stream import GroqStream
from app.main import create_app as create_whole_app
from app.services.chat.session import ChatSession

PATH = "/inside"


async def inside() -> dict[str, int]:
    """How many tasks wait, and how many objects are held that a chat is made of; garbage is collected first."""
    gc.collect()
    kinds = Counter(type(each) for each in gc.get_objects())
    return {
        "tasks": len(asyncio.all_tasks()),
        "coroutines": kinds[CoroutineType],
        "generators": kinds[AsyncGeneratorType],
        "chats": kinds[ChatSession],
        "streams": kinds[GroqStream],
    }


def create_app() -> FastAPI:
    """With the environment's settings."""
    app = create_whole_app()
    app.add_api_route(PATH, inside)
    return app
