"""Whether the process lives, and whether it should be sent chats."""

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.api.state import App, Database

router = APIRouter(tags=["health"])

_PING_TIMEOUT_S = 1


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "Rows cannot be kept, or the server is stopping."}})
async def readyz(app: App) -> JSONResponse:
    """Chats get their receipts. While the database is away, their rows wait on this machine's disk."""
    if app["drain"].begun:
        return JSONResponse({"status": "draining"}, 503)
    rows, settings = app["rows"], app["settings"]
    database = "up" if rows.database_well and await _answers(app["database"]) else "down"
    has_room = rows.room >= settings.row_bytes(settings.max_body_bytes)
    status = "ready" if has_room else "unavailable"
    told = {"status": status, "database": database, "spooled_rows": rows.spooled_rows}
    return JSONResponse(told, 200 if has_room else 503)


async def _answers(database: Database) -> bool:
    try:
        async with asyncio.timeout(_PING_TIMEOUT_S):
            await database.ping()
    except Exception:  # noqa: BLE001 - whatever the driver raises, the answer is no
        return False
    return True
