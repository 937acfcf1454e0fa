"""OpenAI's stored completions: `GET /v1/chat/completions`, one of them, and its messages."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import AwareDatetime
from starlette.types import Receive, Scope, Send

from app.api.auth import authenticate
from app.api.openapi import COMPLETION, COMPLETIONS, failures
from app.api.sse import WholeAnswer
from app.api.state import AppState, RequestState
from app.core.chat_query import ChatQuery
from app.core.errors import InvalidRequest
from app.core.outcomes import Outcome
from app.schemas.stored_chat import completion_object, list_object, message_objects, running_object
from app.services.chat.block import in_pieces
from app.services.chat.ports import Connection


class _CountedRoute(APIRoute):
    """Releases the memory of an answer when it was sent, however that ends."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().handle(scope, receive, send)
        finally:
            scope["state"]["body_memory"].release()


router = APIRouter(prefix="/v1/chat/completions", tags=["stored chats"], route_class=_CountedRoute)

_MAX_LIMIT = 100
_Limit = Annotated[int, Query(ge=1, le=_MAX_LIMIT)]
_Order = Literal["asc", "desc"]
_STATE = "`running` lists those of the worker that answers, with `limit` and `order` only"


async def _client(request: Request) -> str | None:
    """The name of the client's key: clients see their own chats."""
    return authenticate(request)


Client = Annotated[str | None, Depends(_client)]


@router.get("", responses={200: {"content": COMPLETIONS}, **failures(400, 401, 429, 503)}, response_class=Response)
async def list_completions(
    client: Client,
    request: Request,
    *,
    limit: _Limit = 20,
    after: Annotated[str | None, Query(description="the id of the last chat of the page before")] = None,
    order: Annotated[_Order, Query(description="by time; OpenAI's default is the oldest first")] = "asc",
    model: Annotated[str | None, Query(description="the model that answered")] = None,
    outcome: Outcome | None = None,
    error_code: str | None = None,
    end_user: Annotated[str | None, Query(description="`safety_identifier` or `user` of the request")] = None,
    created_after: Annotated[AwareDatetime | None, Query(description="inclusive: Unix seconds or RFC 3339")] = None,
    created_before: Annotated[AwareDatetime | None, Query(description="exclusive")] = None,
    state: Annotated[Literal["stored", "running"], Query(description=_STATE)] = "stored",
) -> Response:
    """Lists the client's chats: those of its key, or those without a key."""
    app: AppState = request.scope["state"]
    if state == "running":
        return _json(request, client, _running(app, client, newest_first=order == "desc", limit=limit))
    if any(name.startswith("metadata") for name in request.query_params):
        raise InvalidRequest("metadata: Groq refuses it, so no chat has any; leave it out", param="metadata")
    stored, after_id = app["stored_chats"], None
    if after is not None and (after_id := await stored.id_of(after, client=client)) is None:
        raise InvalidRequest("after: you have no stored chat with this id; send the last one of a page", param="after")
    query = ChatQuery(
        client=client,
        model=model,
        outcome=outcome,
        error_code=error_code,
        end_user=end_user,
        since=created_after,
        until=created_before,
        after=after_id,
        newest_first=order == "desc",
        limit=limit,
    )
    page = await stored.page(query)
    objects = [completion_object(row) for row in page.rows]
    return _json(request, client, list_object(objects, has_more=page.has_more))


@router.get(
    "/{completion_id}",
    responses={200: {"content": COMPLETION}, **failures(401, 404, 409, 429, 503)},
    response_class=Response,
)
async def retrieve_completion(completion_id: str, client: Client, request: Request) -> Response:
    """Returns one of the client's stored chats, by its `x-request-id` or by the id of its answer."""
    state: AppState = request.scope["state"]
    row = await state["stored_chats"].find(completion_id, client=client)
    return _json(request, client, completion_object(row))


@router.get(
    "/{completion_id}/messages",
    responses={200: {"content": COMPLETIONS}, **failures(400, 401, 404, 409, 429, 503)},
    response_class=Response,
)
async def list_messages(
    completion_id: str,
    client: Client,
    request: Request,
    *,
    limit: _Limit = 20,
    after: str | None = None,
    order: _Order = "asc",
) -> Response:
    """Lists the messages of a stored chat's request; none if its content is not stored."""
    state: AppState = request.scope["state"]
    row = await state["stored_chats"].find(completion_id, client=client, messages=True)
    messages = list(message_objects(row))
    return _json(request, client, _page(messages if order == "asc" else messages[::-1], after, limit))


def _running(app: AppState, client: str | None, *, newest_first: bool, limit: int) -> dict[str, Any]:
    worker = app["settings"].worker_slot
    chats = sorted(app["chats"].running, key=lambda chat: chat["id"], reverse=newest_first)
    mine = [running_object(chat, worker=worker) for chat in chats if chat["client"] == client]
    workers = {"worker": worker, "workers": app["settings"].web_concurrency}
    return list_object(mine[:limit], has_more=len(mine) > limit) | {"x_chat": workers}


def _page(messages: Sequence[Mapping[str, Any]], after: str | None, limit: int) -> dict[str, Any]:
    ids = [message["id"] for message in messages]
    if after is not None and after not in ids:
        raise InvalidRequest("after: the chat has no message with this id", param="after")
    start = 0 if after is None else ids.index(after) + 1
    return list_object(messages[start : start + limit], has_more=len(messages) > start + limit)


def _json(request: Request, client: str | None, content: Mapping[str, Any]) -> Response:
    """Sends the JSON in pieces. While slow clients read it, it counts against MAX_BODY_BYTES_IN_FLIGHT.

    Raises BodyBytesExceeded or Overloaded.
    """
    state: RequestState = request.scope["state"]
    body = msgspec.json.encode(content, enc_hook=str)
    memory = state["bodies"].memory_for(client, request.scope)
    memory.grow(len(body))
    state["body_memory"] = memory

    async def pieces() -> AsyncGenerator[bytes]:
        for piece in in_pieces(body):
            yield piece

    return WholeAnswer(pieces(), Connection(), write_timeout_s=state["settings"].client_write_timeout_s)
