"""What the endpoints are given: typed, so that none reaches for a global."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol, TypedDict
from uuid import UUID

from fastapi import Depends, Request

from app.api.bodies import BodyReader
from app.api.body_budget import BodyLease
from app.api.keys import ApiKeys
from app.api.pulse import Pulse
from app.chat.caller import NO_LEASE, Caller
from app.chat.drain import Drain
from app.chat.service import ChatService
from app.core.config import Settings
from app.core.errors import ServiceError
from app.core.models import Model


class Database(Protocol):
    """What the page needs of it. Raises whatever the driver raises if it does not answer."""

    async def facts(self, chat_id: UUID) -> Mapping[str, Any] | None:
        """What is known of a chat, without what was said in it; None where there is no such row."""
        ...


class RowsKept(Protocol):
    """What the health check needs of the writer."""

    @property
    def room(self) -> int:
        """The bytes of rows for which there is a place."""
        ...

    @property
    def database_well(self) -> bool:
        """Whether rows go to the database, and not to the spool."""
        ...

    @property
    def spooled_rows(self) -> int:
        """Rows of this worker that wait for the database."""
        ...


class Catalogue(Protocol):
    """The models that callers may ask for."""

    def models(self) -> Sequence[Model]:
        """All of them, by id."""
        ...

    def find(self, name: str) -> Model | None:
        """The one with this id or alias."""
        ...


class Probe(Protocol):
    """Who watches. It never raises."""

    def chat_refused(self, error: ServiceError, *, request_id: UUID, route: str, has_key: bool) -> None:
        """A request for a chat was turned away at the door. `has_key`: its key is valid, or none is asked for."""
        ...

    def key_refused(self, error: ServiceError, *, request_id: UUID, route: str) -> None:
        """A request for anything else was, for want of a key."""
        ...


class Quota(Protocol):
    """What the guard needs of it; `client` is the name of a key, `visit` the id of its request."""

    async def enter(self, client: str | None, visit: UUID) -> Mapping[str, str]:
        """One request; what is left, as headers. Raises QuotaExceeded or QuotaUnavailable. `leave` has to follow."""
        ...

    def leave(self, visit: UUID) -> None:
        """The request is over. It may have been told before."""
        ...


class AppState(TypedDict):
    """What lives as long as the process: built in the lifespan, closed with it."""

    settings: Settings
    chats: ChatService
    catalogue: Catalogue
    database: Database
    pulse: Pulse
    probe: Probe
    drain: Drain
    keys: ApiKeys
    bodies: BodyReader
    quota: Quota
    rows: RowsKept


class RequestState(AppState):
    """… and what lives as long as a request: the middleware adds it, and the guard `client`, the name of a key.

    `lease` is the memory of its body, once there is one.
    `response_headers` are set on every response: what is left of the key's quota, and the id of a model that an alias
    stands for.
    """

    request_id: UUID
    client_request_id: str | None
    client: str | None
    response_headers: Mapping[str, str]
    arrived: float
    body_bytes: int
    lease: BodyLease | None


async def _app_state(request: Request) -> AppState:  # async, or FastAPI would run it in a thread
    state: AppState = request.scope["state"]
    return state


App = Annotated[AppState, Depends(_app_state)]


def caller_of(request: Request, requested_model: str | None) -> Caller:
    """Who sends a request for a chat. If its model is an alias, the response names the model that it stands for."""
    state: RequestState = request.scope["state"]
    name = requested_model or state["settings"].groq_default_model
    if (model := state["settings"].groq_model(name)) != name:
        state["response_headers"] = {**state["response_headers"], "x-model-mapped-to": model}
    return Caller(
        state["request_id"],
        client_request_id=state["client_request_id"],
        client=state["client"],
        route=request.scope["route"].path,
        arrived=state["arrived"],
        body_bytes=state["body_bytes"],
        lease=state["lease"] or NO_LEASE,
    )
