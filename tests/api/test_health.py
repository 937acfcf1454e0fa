"""Liveness and readiness."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.config import Settings
from app.core.errors import PersistenceFailed
from tests.support.records import record
from tests.support.service import Service


def test_healthy_service_is_alive_and_ready(service: Service) -> None:
    assert service.http.get(f"{service.url}/healthz").json() == {"status": "ok"}
    ready = service.http.get(f"{service.url}/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "database": "up", "outbox_rows": 0})
    assert ready.headers["x-request-id"]


@pytest.mark.parametrize(("rows", "status", "word"), [(1, 200, "ready"), (0, 503, "unavailable")])
async def test_without_a_database_the_service_is_ready_while_its_outbox_can_be_written(
    create_app: Callable[[Settings], FastAPI], tmp_path: Path, rows: int, status: int, word: str
) -> None:
    folder = tmp_path / "outbox"
    settings = Settings(
        _env_file=None,
        groq_api_key="test",
        database_url="postgresql://me@127.0.0.1:1/chats",
        metrics_port=0,
        outbox_dir=folder,
    )
    if not rows:
        folder.touch()
    app = create_app(settings)
    async with app.router.lifespan_context(app) as state:
        assert state is not None
        transport = httpx2.ASGITransport(app=_with_state(app, state))
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            with suppress(PersistenceFailed):  # readiness follows the result of the first row
                await state["store"].add(record())
            alive, ready = await client.get("/healthz"), await client.get("/readyz")
            state["drain"].start(60)
            measured = state["telemetry"].metrics.registry.get_sample_value("chat_ready")
            draining = await client.get("/readyz")
    assert alive.status_code == 200
    body = {"status": word, "database": "down", "outbox_rows": rows}
    assert (ready.status_code, ready.json()) == (status, body)
    assert measured == (1 if status == 200 else 0)
    assert (draining.status_code, draining.json()) == (503, {"status": "draining"})


def _with_state(app: ASGIApp, state: Mapping[str, Any] | None) -> ASGIApp:
    """Adds the lifespan's state to each request, as a server does."""

    async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": dict(state or {})}, receive, send)

    return with_state
