"""The service as it is, with an endpoint that counts what lives inside it."""

import asyncio
import gc
from collections import Counter
from types import AsyncGeneratorType, CoroutineType

from fastapi import FastAPI

from app.main import create_app as create_whole_app
from app.services.chat.session import ChatSession
from app.services.groq.stream import GroqStream

APP = "loadtests.leak_test.app:create_app()"
PATH = "/inside"


async def inside() -> dict[str, int]:
    """Tasks, and objects of the types that a chat is made of, after garbage was collected."""
    gc.collect()
    types = Counter(type(each) for each in gc.get_objects())
    return {
        "tasks": len(asyncio.all_tasks()),
        "coroutines": types[CoroutineType],
        "generators": types[AsyncGeneratorType],
        "chats": types[ChatSession],
        "streams": types[GroqStream],
    }


def create_app() -> FastAPI:
    """With the environment's settings."""
    app = create_whole_app()
    app.add_api_route(PATH, inside)
    return app
