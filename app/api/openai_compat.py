"""OpenAI's own paths: `POST /v1/chat/completions` and `GET /v1/models`.

They are not in api/v1, whose paths start with `/api/v1`: OpenAI's clients append theirs to a URL that ends in `/v1`.
"""

from typing import Any

from fastapi import APIRouter, Request

from app.api.auth import GuardedRoute, authenticate
from app.api.errors import CHAT_TAG
from app.api.openapi import COMPLETION, EVENTS, RECEIPT, failures
from app.api.sse import EventStream, WholeAnswer
from app.api.state import AppState, request_context
from app.core.errors import ModelNotFound
from app.schemas.chat import ChatRequest
from app.schemas.model import Model, ModelList, model_object

chats = APIRouter(prefix="/v1/chat", tags=[CHAT_TAG], route_class=GuardedRoute)
models = APIRouter(prefix="/v1/models", tags=["models"])

_COMPLETIONS = {
    200: {
        "description": f"With `stream`: {RECEIPT} Without: Groq's JSON, unchanged, when the row is durable.",
        "content": COMPLETION | EVENTS,
    },
    **failures(),
}


@chats.post("/completions", status_code=200, response_class=EventStream, responses=_COMPLETIONS)
async def create_completion(body: ChatRequest, request: Request) -> EventStream:
    """Creates a chat completion in OpenAI's format, streamed or whole."""
    state: AppState = request.scope["state"]
    kind = EventStream if body.streams else WholeAnswer
    context = request_context(request, body)
    answer = state["chats"].answer(body, context)
    return kind(answer, context.connection, write_timeout_s=state["settings"].client_write_timeout_s)


@models.get("", responses=failures(401), response_model=ModelList)
async def list_models(request: Request) -> dict[str, Any]:
    """Lists the models that clients may use, from the provider's catalogue."""
    state: AppState = request.scope["state"]
    authenticate(request)
    return {"object": "list", "data": [model_object(model.id, model.fields) for model in state["catalogue"].models()]}


@models.get("/{model:path}", responses=failures(401, 404), response_model=Model)
async def retrieve_model(model: str, request: Request) -> dict[str, Any]:
    """Returns one model, by its id or by an alias."""
    state: AppState = request.scope["state"]
    authenticate(request)
    if found := state["catalogue"].find(model):
        return model_object(found.id, found.fields)
    raise ModelNotFound(f"there is no model `{model}`; GET /v1/models lists the models", param="model")
