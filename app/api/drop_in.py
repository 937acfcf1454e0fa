"""What OpenAI's clients ask for, where they ask for it: `POST /v1/chat/completions` and `GET /v1/models`."""

from fastapi import APIRouter, Request

from app.api.description import COMPLETION, EVENTS, RECEIPT, failures
from app.api.errors import CHAT_TAG
from app.api.guard import GuardedRoute
from app.api.sse import EventStream, WholeAnswer
from app.api.state import App, AppState, RequestState, caller_of
from app.chat.whole import whole
from app.core.errors import ModelNotFound
from app.schemas.chat import ChatRequest
from app.schemas.model import Model, ModelList, models_of

chats = APIRouter(prefix="/v1/chat", tags=[CHAT_TAG], route_class=GuardedRoute)
models = APIRouter(prefix="/v1/models", tags=["models"])

_COMPLETIONS = {
    200: {
        "description": f"With `stream`: {RECEIPT} Without: the whole answer, sent when the row is durable.",
        "content": COMPLETION | EVENTS,
    },
    **failures(),
}


@chats.post("/completions", status_code=200, response_class=EventStream, responses=_COMPLETIONS)
async def create_completion(body: ChatRequest, request: Request) -> EventStream:
    """A chat completion in OpenAI's format, streamed or whole."""
    app: AppState = request.scope["state"]
    events, stall_timeout_s = app["chats"].stream(body, caller_of(request)), app["settings"].client_stall_timeout_s
    if body.streams:
        return EventStream(events, stall_timeout_s=stall_timeout_s)
    return WholeAnswer(whole(events), stall_timeout_s=stall_timeout_s)


@models.get("", responses=failures(401))
async def list_models(app: App, request: Request) -> ModelList:
    """The models that this service knows by name. Groq is not asked."""
    _with_key(request)
    return ModelList(data=models_of(app["settings"]))


@models.get("/{model:path}", responses=failures(401, 404))
async def retrieve_model(model: str, app: App, request: Request) -> Model:
    """One of them."""
    _with_key(request)
    for known in models_of(app["settings"]):
        if known.id == model:
            return known
    raise ModelNotFound(f"there is no model `{model}` here; GET /v1/models lists those that there are", param="model")


def _with_key(request: Request) -> None:
    """Raises Unauthorized. Nothing is spent of the key's quota."""
    state: RequestState = request.scope["state"]
    state["keys"].name_of(request.headers.get("authorization"))
