"""Whether the process lives, and whether it should be sent chats."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.api.state import App

router = APIRouter(tags=["health"])


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
    database = "up" if rows.database_well and await app["pulse"].beats() else "down"
    has_room = rows.room >= settings.row_bytes(settings.max_body_bytes)
    status = "ready" if has_room else "unavailable"
    told = {"status": status, "database": database, "spooled_rows": rows.spooled_rows}
    return JSONResponse(told, 200 if has_room else 503)
