"""The application: builds every long-lived thing when it starts, closes them in reverse when it stops."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from pydantic import ValidationError

from app.api import errors, health
from app.api.middleware import BodyLimit, RequestId
from app.api.state import AppState
from app.api.v1.endpoints import chat
from app.chat.service import ChatService
from app.core.config import Settings, explain
from app.db.engine import create_engine
from app.db.repositories.chat_log import ChatLogRepository
from app.db.writer import ChatLogWriter
from app.groq.client import GroqClient
from app.observability import logs
from app.observability.probe import Probe

_LAST_STREAMS_S = 5


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service. The settings come from the environment unless they are given."""
    settings = settings or _settings_or_exit()
    logs.configure(settings.log_format)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[AppState]:
        async with AsyncExitStack() as stack:
            engine = create_engine(settings)
            stack.push_async_callback(engine.dispose)
            rows = ChatLogRepository(engine)
            log = await stack.enter_async_context(
                ChatLogWriter(rows, commit_timeout_s=settings.commit_timeout_s, max_rows=settings.commit_max_rows)
            )
            groq = await stack.enter_async_context(GroqClient(settings))
            chats = ChatService(settings, groq=groq, log=log, probe=Probe())
            # A server that stops cancels the last streams and comes here at once: they still have rows to write.
            stack.push_async_callback(chats.wait_idle, _LAST_STREAMS_S)
            yield AppState(settings=settings, chats=chats, database=rows)

    app = FastAPI(title="Groq, streamed", lifespan=lifespan, redoc_url=None)
    errors.install(app)
    app.include_router(chat.router)
    app.include_router(health.router)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(RequestId)
    return app


def _settings_or_exit() -> Settings:
    """A server that was started with settings it cannot run on says so in a sentence each, and stops."""
    try:
        settings = Settings()
        _ = settings.groq_endpoint
    except ValidationError as exc:
        sys.exit(explain(exc))
    except ValueError as exc:
        sys.exit(str(exc))
    return settings
