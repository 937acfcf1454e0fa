"""The application: creates the objects of the process at the start, and closes them in reverse at the end."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from app import TITLE, __version__
from app.api import cors, errors, health, openai_compat, openapi, stored_chats, swagger
from app.api.auth import ApiKeys
from app.api.bodies import BodyReader
from app.api.middleware import RequestLifecycle
from app.api.state import AppState
from app.api.ui import routes as ui
from app.api.v1.endpoints import chat
from app.core.config import Settings
from app.core.ping import CachedPing
from app.db.commits import Commits
from app.db.engine import create_engine, database_identity, pool_gauges
from app.db.outbox import Outbox, outbox_gauges
from app.db.outbox_file import OutboxFile
from app.db.repositories.chat_log import ChatLogRepository
from app.db.reservations import Reservations
from app.db.writer import ChatLogWriter
from app.observability import logs
from app.observability.telemetry import Telemetry
from app.quota import create_quota
from app.services.chat.timeouts import Drain
from app.services.chat_service import ChatService
from app.services.groq_client import GroqClient
from app.services.stored_chats import StoredChats
from app.serving.checks import settings_or_exit

_LAST_STREAMS_S = 5


def create_app(settings: Settings | None = None) -> FastAPI:
    """Creates the service, with settings from the environment by default."""
    settings = settings or settings_or_exit()
    logs.configure(settings)
    telemetry = Telemetry(settings)
    drain = Drain()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[AppState]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(telemetry.running())
            engine = create_engine(settings)
            stack.push_async_callback(engine.dispose)
            rows = ChatLogRepository(engine)
            reading = create_engine(settings, pool_size=settings.read_connections)
            stack.push_async_callback(reading.dispose)
            reader = ChatLogRepository(reading, read_timeout_s=settings.read_timeout_s)
            commits = Commits(rows, timeout_s=settings.commit_limit_s, events=telemetry)
            outbox = _outbox(settings, telemetry)
            store = await stack.enter_async_context(ChatLogWriter(commits, outbox, max_rows=settings.commit_max_rows))
            groq = await stack.enter_async_context(GroqClient(settings))
            bodies = BodyReader(settings, drain=drain)
            stack.callback(bodies.close)
            quota = await stack.enter_async_context(create_quota(settings, telemetry))
            chats = ChatService(
                settings,
                upstream=groq,
                prices=groq.catalogue,
                store=store,
                telemetry=telemetry,
                quota=quota,
                drain=drain,
            )
            telemetry.metrics.register_gauges(
                capacity={
                    "chat_ready": lambda: health.is_ready(store, settings),
                    "chat_active_streams": lambda: chats.admission.active,
                    "chat_active_streams_limit": lambda: settings.max_active_streams,
                    "chat_queued": lambda: chats.admission.queued,
                    "chat_queue_limit": lambda: settings.max_queued_chats,
                    "chat_request_body_bytes": lambda: bodies.budget.used,
                    "chat_request_body_limit_bytes": lambda: settings.max_body_bytes_in_flight,
                    "db_pool_size": pool_gauges(engine)["size"],
                },
                draining=lambda: drain.started,
                pool=pool_gauges(engine),
                outbox=outbox_gauges(outbox),
                missing_models=lambda: len(groq.catalogue.missing),
                knows_model=groq.catalogue.knows,
            )
            telemetry.serve_running_chats(chats.running)
            # A stopping server cancels the last streams and closes the lifespan at once, before their rows are written.
            stack.push_async_callback(chats.wait_idle, _LAST_STREAMS_S)
            yield AppState(
                settings=settings,
                chats=chats,
                catalogue=groq.catalogue,
                stored_chats=StoredChats(settings, rows=reader, running=chats.running),
                database_ping=CachedPing(rows.ping),
                telemetry=telemetry,
                drain=drain,
                store=store,
                authenticator=ApiKeys(settings.api_keys),
                bodies=bodies,
                quota=quota,
            )

    app = FastAPI(
        title=TITLE,
        version=__version__,
        lifespan=lifespan,
        openapi_url="/openapi.json" if settings.shows_docs else None,
        docs_url=None,  # api/swagger.py has its own
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.settings, app.state.drain = settings, drain  # for the server, which starts the drain
    app.state.release_metrics_port = telemetry.release_metrics_port  # for a worker whose master has died
    errors.install(app)
    app.include_router(chat.router)
    app.include_router(openai_compat.chats)
    app.include_router(openai_compat.models)
    if settings.chat_log_api:
        app.include_router(stored_chats.router)
    app.include_router(health.router)
    if settings.shows_docs:
        openapi.install(app, settings)
        app.include_router(swagger.router)
    if settings.shows_page:
        ui.install(app, settings)
    app.add_middleware(RequestLifecycle)
    cors.install(app, settings)
    telemetry.instrument(app)
    return app


def _outbox(settings: Settings, telemetry: Telemetry) -> Outbox | None:
    """Returns None for SQLite as the database, which is on the same disk as the outbox would be."""
    if settings.embedded_database is not None:
        return None
    reservations = Reservations(settings.worker_slot)
    file = OutboxFile(
        settings.outbox_dir,
        database=database_identity(settings),
        # Processes of the service take the folder's lock instead of SQLite's own. A person with the `sqlite3` shell may
        # hold that: the call then fails with an error, before the outbox gives it up as hanging.
        busy_timeout_s=settings.outbox_timeout_s / 2,
        reservations=reservations,
    )
    return Outbox(
        file,
        max_bytes=settings.outbox_max_bytes,
        timeout_s=settings.outbox_timeout_s,
        reservations=reservations,
        events=telemetry,
    )
