"""The service without its signals and without its rows, made of its own parts: what these two cost is the difference.

Routes, middleware, the parsing and the held-back `[DONE]` are the service's. Nothing is traced, counted, logged
or kept.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.api import errors, health
from app.api.auth import ApiKeys
from app.api.bodies import BodyReader
from app.api.middleware import BodyLimit, RequestId
from app.api.state import AppState
from app.api.v1.endpoints import chat
from app.core.config import Settings
from app.core.ping import CachedPing
from app.core.record import Kept
from app.groq.client import GroqClient
from app.quota import Unlimited
from app.services.chat.drain import Drain
from app.services.chat_service import ChatService
from app.serving.checks import settings_or_exit


class Nothing:
    """Watches nothing, and is every chat's watch."""

    traceparent = None

    def chat_began(self, *_: object, **__: object) -> "Nothing":
        return self

    def key_refused(self, *_: object, **__: object) -> None:
        pass

    def chat_refused(self, *_: object, **__: object) -> None:
        pass

    def attempted(self, *_: object) -> None:
        pass

    def finished(self, *_: object, **__: object) -> None:
        pass


class Nowhere:
    """Keeps no rows, and says at once that it does."""

    room = 2**60
    database_well = True
    spooled_rows = 0

    def add(self, _: object) -> Awaitable[Kept]:
        kept: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        kept.set_result(Kept.DATABASE)
        return kept

    async def ping(self) -> None:
        pass

    async def facts(self, _: object) -> None:
        """There is no row of any chat."""


def create_app() -> FastAPI:
    """With the environment's settings; `app.main` is the whole of it."""
    settings = settings_or_exit()
    drain = Drain()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[AppState]:
        nothing, nowhere = Nothing(), Nowhere()
        async with GroqClient(settings) as groq:
            yield AppState(
                settings=settings,
                chats=ChatService(
                    settings,
                    upstream=groq,
                    models=groq.catalogue,
                    store=nowhere,
                    telemetry=nothing,
                    meter=Unlimited(),
                    drain=drain,
                ),
                catalogue=groq.catalogue,
                reader=nowhere,
                database_ping=CachedPing(nowhere.ping),
                telemetry=nothing,
                drain=drain,
                store=nowhere,
                authenticator=ApiKeys(settings.api_keys),
                bodies=BodyReader(settings),
                quota=Unlimited(),
            )

    app = FastAPI(lifespan=lifespan, redoc_url=None)
    app.state.settings, app.state.drain = settings, drain
    app.state.free_metrics_port = Nowhere().ping  # it serves none
    _assemble(app, settings)
    return app


def _assemble(app: FastAPI, settings: Settings) -> None:
    errors.install(app)
    app.include_router(chat.router)
    app.include_router(health.router)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, timeout_s=settings.body_timeout_s)
    app.add_middleware(RequestId)
