"""The typed state of the process and of a request; `request.scope["state"]` has both."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypedDict
from uuid import UUID

from fastapi import Request

from app.api.bodies import BodyReader
from app.core.config import Settings
from app.core.errors import InvalidRequest, ServiceError
from app.core.models import Model
from app.core.ping import CachedPing
from app.schemas.chat import ChatRequest
from app.services.chat.ports import BodyMemory, Connection, RequestContext
from app.services.chat.timeouts import Drain
from app.services.chat_service import ChatService
from app.services.stored_chats import StoredChats


class RecordStoreStatus(Protocol):
    """What the health check needs to know of the writer."""

    @property
    def free_bytes(self) -> int:
        """The bytes of rows that can be stored now."""

    @property
    def database_healthy(self) -> bool:
        """Whether rows go to the database."""

    @property
    def database_migrated(self) -> bool:
        """False while the database answers without the tables of this version; True while that is not known."""

    @property
    def outbox_rows(self) -> int:
        """The rows of this machine that wait for the database."""


class Catalogue(Protocol):
    """The models that clients may use.

    Telemetry also uses `knows(model_id)` and `missing` of the provider's catalogue (main.py).
    """

    def models(self) -> Sequence[Model]:
        """All models that clients may use, sorted by id."""

    def find(self, name: str) -> Model | None:
        """The model with this id or alias; None if there is none."""


class Authenticator(Protocol):
    """Knows the clients and their keys."""

    def authenticate(self, authorization: str | None) -> str | None:
        """The client's name by its `Authorization` header; None if clients need no key. Raises Unauthorized."""


class RefusalEvents(Protocol):
    """The telemetry of refused requests. Its methods never raise."""

    def chat_refused(
        self,
        error: ServiceError,
        *,
        request_id: UUID,
        route: str,
        model: str | None,
        client: str | None,
        has_key: bool,
    ) -> None:
        """A request for a chat was refused. `model` and `client` are None if they are not known.

        `has_key`: its key is valid, or none is needed.
        """

    def key_refused(self, error: ServiceError, *, request_id: UUID, route: str) -> None:
        """A request for anything else had no valid key."""


class Quota(Protocol):
    """Limits requests by client, which is the name of the key."""

    async def enter(self, client: str | None, request_id: UUID) -> Mapping[str, str]:
        """Counts a request and returns its rate-limit headers. `leave` has to follow in every case.

        Raises QuotaExceeded or QuotaUnavailable.
        """

    def leave(self, request_id: UUID) -> None:
        """Ends a request without tokens. May be called more than once.

        Does nothing after `ChatQuota.ended`, which the chat service calls on the same object with the chat's tokens.
        """


class AppState(TypedDict):
    """The state of the process: built and closed in the lifespan."""

    settings: Settings
    chats: ChatService
    catalogue: Catalogue
    stored_chats: StoredChats
    database_ping: CachedPing
    telemetry: RefusalEvents
    drain: Drain
    authenticator: Authenticator
    bodies: BodyReader
    quota: Quota
    store: RecordStoreStatus


class RequestState(AppState):
    """The state of a request: RequestLifecycle creates it, GuardedRoute sets the client, model and memory.

    `client` is the name of the API key, None without keys; it is missing until the client has authenticated itself.
    `model` is the provider's id of the requested model, None before the body was read.
    `response_headers` are set on every response: rate limits, and the model that an alias was mapped to.
    `arrived` and `body_bytes` are set when the whole body was received (services/chat/ports.py describes both).
    """

    request_id: UUID
    client_request_id: str | None
    client: str | None
    model: str | None
    response_headers: Mapping[str, str]
    arrived: float
    body_bytes: int
    body_memory: BodyMemory


CONTINUE_HEADER = "x-continue-on-disconnect"


def request_context(request: Request, body: ChatRequest) -> RequestContext:
    """What the chat service needs to know of the request beside its body.

    Raises InvalidRequest if the chat cannot continue without its client, as the request demands.
    """
    state: RequestState = request.scope["state"]
    return RequestContext(
        state["request_id"],
        client_request_id=state["client_request_id"],
        client=state["client"],
        route=request.scope["route"].path,
        arrived=state["arrived"],
        body_bytes=state["body_bytes"],
        body_memory=state["body_memory"],
        connection=Connection(chat_continues=_continues(request, body, state["settings"])),
    )


def _continues(request: Request, body: ChatRequest, settings: Settings) -> bool:
    value = request.headers.get(CONTINUE_HEADER, "false").strip().lower()
    if value not in ("true", "false"):
        raise InvalidRequest(f"{CONTINUE_HEADER}: send true or false", param=CONTINUE_HEADER)
    reasons = {
        'the request has "store": false': body.store is False,
        "this service stores no answers": not settings.stores_content,
        "this service returns no stored chats": not settings.chat_log_api,
    }
    if value == "true" and (reason := next((each for each, applies in reasons.items() if applies), None)):
        message = f"{CONTINUE_HEADER}: {reason}, so the answer could not be fetched later; leave the header out"
        raise InvalidRequest(message, param=CONTINUE_HEADER)
    return value == "true"
