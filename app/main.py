"""The application: builds every long-lived thing when it starts, closes them in reverse when it stops."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from app import __version__
from app.api import cors, description, drop_in, errors, health, pages
from app.api.bodies import BodyReader
from app.api.keys import ApiKeys
from app.api.middleware import BodyLimit, LenientRouting, RequestId
from app.api.page import routes as page
from app.api.pulse import Pulse
from app.api.state import AppState
from app.api.v1.endpoints import chat
from app.chat.drain import Drain
from app.chat.service import ChatService
from app.core.config import Settings
from app.db.commits import Commits
from app.db.engine import create_engine, pool_gauges
from app.db.repositories.chat_log import ChatLogRepository
from app.db.spool.spool import Spool, spool_gauges
from app.db.writer import ChatLogWriter
from app.groq.client import GroqClient
from app.observability import logs
from app.observability.telemetry import Telemetry, identity
from app.quota.opening import opened
from app.serving.checks import settings_or_exit

_LAST_STREAMS_S = 5


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service. The settings come from the environment unless they are given."""
    settings = settings or settings_or_exit()
    logs.configure(settings, identity(settings))
    telemetry = Telemetry(settings)
    drain = Drain()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[AppState]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(telemetry.running())
            engine = create_engine(settings)
            stack.push_async_callback(engine.dispose)
            rows = ChatLogRepository(engine)
            commits = Commits(rows, timeout_s=settings.commit_timeout_s, probe=telemetry.probe)
            spool = Spool(settings.spool_dir, max_bytes=settings.spool_max_bytes, probe=telemetry.probe)
            log = await stack.enter_async_context(ChatLogWriter(commits, spool, max_rows=settings.commit_max_rows))
            groq = await stack.enter_async_context(GroqClient(settings))
            bodies = BodyReader(settings)
            stack.callback(bodies.close)
            quota = await stack.enter_async_context(opened(settings, telemetry.probe))
            chats = ChatService(
                settings, groq=groq, models=groq.catalogue, log=log, probe=telemetry.probe, meter=quota, drain=drain
            )
            telemetry.metrics.follow(
                active_streams=lambda: chats.active,
                body_bytes=lambda: bodies.budget.used,
                draining=lambda: drain.begun,
                pool=pool_gauges(engine),
                spool=spool_gauges(spool),
                missing_models=lambda: len(groq.catalogue.missing),
                knows_model=groq.catalogue.knows,
            )
            # A server that stops cancels the last streams and comes here at once: they still have rows to write.
            stack.push_async_callback(chats.wait_idle, _LAST_STREAMS_S)
            yield AppState(
                settings=settings,
                chats=chats,
                catalogue=groq.catalogue,
                database=rows,
                pulse=Pulse(rows.ping),
                probe=telemetry.probe,
                drain=drain,
                rows=log,
                keys=ApiKeys(settings.api_keys),
                bodies=bodies,
                quota=quota,
            )

    app = FastAPI(
        title="Groq, streamed",
        version=__version__,
        lifespan=lifespan,
        openapi_url="/openapi.json" if settings.shows_docs else None,
        docs_url=None,  # ours is in api/pages.py
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.settings, app.state.drain = settings, drain  # for the server, whose signals begin the drain
    app.state.free_metrics_port = telemetry.free_port  # for a worker whose master has died
    errors.install(app)
    app.include_router(chat.router)
    app.include_router(drop_in.chats)
    app.include_router(drop_in.models)
    app.include_router(health.router)
    if settings.shows_docs:
        description.install(app, settings)
        app.include_router(pages.router)
    if settings.shows_page:
        page.install(app, settings)
    app.add_middleware(LenientRouting)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, timeout_s=settings.body_timeout_s)
    app.add_middleware(RequestId)
    cors.install(app, settings)
    telemetry.instrument(app)
    return app
