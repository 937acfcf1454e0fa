"""The page at `/`: its files, and the endpoints that it uses beside the chat."""

from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from app.api.auth import authenticate
from app.api.state import AppState
from app.api.swagger import SECURITY_HEADERS
from app.api.ui import faults
from app.core.config import Settings
from app.core.errors import ChatNotFound, ChatRunning
from app.core.record import METADATA
from app.schemas.stored_chat import attempts_without

_STATIC = Path(__file__).parent / "static"
_POLICY = "; ".join(
    [
        SECURITY_HEADERS["content-security-policy"],
        *(f"{kind}-src 'self'" for kind in ("script", "style", "connect", "img")),
    ]
)

_REVALIDATED = {"cache-control": "no-cache"}
"""The browser asks whether its copy is current: the files of two versions do not fit together."""

router = APIRouter(include_in_schema=False)


class _PageFiles(StaticFiles):
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(_REVALIDATED)
        return response


def install(app: FastAPI, settings: Settings) -> None:
    """Adds the page, and with a simulator the buttons that inject faults."""
    app.include_router(router)
    if settings.is_simulated:
        app.include_router(faults.router)
    app.mount("/page", _PageFiles(directory=_STATIC))


@router.get("/")
async def page() -> FileResponse:
    """Serves the page. Its content security policy allows only this origin."""
    return FileResponse(_STATIC / "index.html", headers={"content-security-policy": _POLICY, **_REVALIDATED})


@router.get("/page/about")
async def about(request: Request) -> dict[str, Any]:
    """What the page shows of the settings."""
    state: AppState = request.scope["state"]
    settings = state["settings"]
    default = settings.model_id(settings.default_model)
    return {
        "model": default,
        "models": sorted({default, *(model.id for model in state["catalogue"].models())}),
        "needs_key": settings.needs_key,
        "simulated": settings.is_simulated,
        "tokens_per_s": settings.groq_simulator_tokens_per_s,
        "lists_chats": settings.chat_log_api,
        "can_continue": settings.chat_log_api and settings.stores_content,
        "trace_file": settings.trace_file is not None,
        "trace_url": settings.page_trace_url,
        "row_url": settings.page_row_url,
    }


@router.get("/page/chats/{chat_id}")
async def chat(chat_id: UUID, request: Request) -> Response:
    """The row of one of the client's chats without its content; null if there is none."""
    state: AppState = request.scope["state"]
    try:
        row = await state["stored_chats"].find(str(chat_id), client=authenticate(request))
    except (ChatNotFound, ChatRunning):
        return JSONResponse(None)
    metadata = {name: value for name, value in row.items() if name in METADATA}
    metadata["attempt_log"] = attempts_without(row, "cause", "message")
    return Response(msgspec.json.encode(metadata, enc_hook=str), media_type="application/json")
