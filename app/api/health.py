"""Liveness and readiness."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.api.state import AppState, RecordStoreStatus
from app.core.config import Settings

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Liveness: the process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "Rows cannot be stored, or the server is stopping."}})
async def readyz(request: Request) -> JSONResponse:
    """Readiness: rows can be stored, in the database or, while it is unavailable, on this machine's disk.

    A database that was never migrated is a mistake of the deployment, and no outage that will pass.
    """
    state: AppState = request.scope["state"]
    if state["drain"].started:
        return JSONResponse({"status": "draining"}, 503)
    store, settings = state["store"], state["settings"]
    database = "up" if store.database_healthy and await state["database_ping"].ok() else "down"
    if not store.database_migrated:
        database = "not_migrated"
    ready = is_ready(store, settings)
    body = {"status": "ready" if ready else "unavailable", "database": database, "outbox_rows": store.outbox_rows}
    return JSONResponse(body, 200 if ready else 503)


def is_ready(store: RecordStoreStatus, settings: Settings) -> bool:
    """Whether the row of the largest chat can be stored."""
    return store.database_migrated and store.free_bytes >= settings.row_bytes(settings.max_body_bytes)
