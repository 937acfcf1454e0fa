"""Whether the process lives, and whether it should be sent chats."""

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.api.state import App

router = APIRouter(tags=["health"])

_PING_TIMEOUT_S = 1
_UNAVAILABLE = JSONResponse({"status": "unavailable", "database": "down"}, 503)


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "The database does not answer, or the server is stopping."}})
async def readyz(app: App) -> JSONResponse:
    """The database answers, so that chats get their receipts, and the server is not stopping."""
    if app["drain"].begun:
        return JSONResponse({"status": "draining"}, 503)
    if not app["rows"].available:
        return _UNAVAILABLE
    try:
        async with asyncio.timeout(_PING_TIMEOUT_S):
            await app["database"].ping()
    except Exception:  # noqa: BLE001 - whatever the driver raises, the answer is no
        return _UNAVAILABLE
    return JSONResponse({"status": "ready", "database": "up"})
