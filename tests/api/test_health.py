"""Whether the service lives, and whether it should be sent chats."""

from collections.abc import Mapping
from typing import Any

import httpx2
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.config import Settings
from app.main import create_app
from tests.support.service import Service


def test_a_service_that_is_well_says_so(service: Service) -> None:
    assert service.http.get(f"{service.url}/healthz").json() == {"status": "ok"}
    ready = service.http.get(f"{service.url}/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "database": "up"})
    assert ready.headers["x-request-id"]


async def test_a_service_that_cannot_keep_rows_is_not_to_be_sent_chats() -> None:
    """Over the application itself: its database is away from the start."""
    settings = Settings(
        _env_file=None, groq_api_key="test", database_url="postgresql://me@127.0.0.1:1/chats", metrics_port=0
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app) as state:
        transport = httpx2.ASGITransport(app=_with_state(app, state))
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            alive, ready = await client.get("/healthz"), await client.get("/readyz")
    assert alive.status_code == 200
    assert (ready.status_code, ready.json()) == (503, {"status": "unavailable", "database": "down"})


def _with_state(app: ASGIApp, state: Mapping[str, Any] | None) -> ASGIApp:
    """What a server does: it hands the lifespan's state to each request."""

    async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": dict(state or {})}, receive, send)

    return with_state
