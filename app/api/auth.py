"""Authentication and quotas: checked before a request body is read, since parsing it costs work."""

import hmac
from collections.abc import Callable, Coroutine
from hashlib import sha256
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from app.api.state import RequestState
from app.core.errors import InvalidRequest, QuotaExceeded, Unauthorized
from app.schemas.chat import ChatRequest


class ApiKeys:
    """Authenticates clients by `API_KEYS`, of which it has only the SHA-256. Without keys every request is allowed."""

    def __init__(self, digests: dict[str, str]) -> None:
        self._names = {bytes.fromhex(digest): name for name, digest in digests.items()}

    def authenticate(self, authorization: str | None) -> str | None:
        """Returns the name of the key in an `Authorization` header; None where no keys are set. Raises Unauthorized."""
        if not self._names:
            return None
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Unauthorized("send a key of this service: 'Authorization: Bearer <key>'")
        digest = sha256(key.strip().encode()).digest()
        found = None
        for known, name in self._names.items():  # compares with every key, so that the time reveals nothing
            if hmac.compare_digest(known, digest):
                found = name
        if found is None:
            raise Unauthorized("this service does not know the key that was sent")
        return found


def authenticate(request: Request) -> str | None:
    """Returns the name of the client's key. Raises Unauthorized. Does not count against the client's quota."""
    state: RequestState = request.scope["state"]
    return state["authenticator"].authenticate(request.headers.get("authorization"))


class GuardedRoute(APIRoute):
    """The route of a chat endpoint: its client needs a key and quota. The endpoint's `body` is a ChatRequest.

    Raises Unauthorized, QuotaExceeded, QuotaUnavailable, Overloaded, RowsUnavailable or ServerDraining, and what
    reading a body raises.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Releases the request's quota and memory when its response has been sent, however it ends."""
        state: RequestState = scope["state"]
        try:
            await super().handle(scope, receive, send)
        finally:
            state["quota"].leave(state["request_id"])
            state["body_memory"].release()

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        kind: type[ChatRequest] = get_type_hints(self.endpoint)["body"]

        async def guarded(request: Request) -> Response:
            state: RequestState = request.scope["state"]
            state["client"] = authenticate(request)
            state["chats"].admission.check()
            try:
                state["response_headers"] = await state["quota"].enter(state["client"], state["request_id"])
            except QuotaExceeded as refusal:
                state["response_headers"] = refusal.rate_limits
                raise
            state["body_memory"] = memory = state["bodies"].memory_for(state["client"], request.scope)
            data, parsed = await state["bodies"].read(request, kind, memory)
            name = parsed.model or state["settings"].default_model
            state["model"] = model = state["settings"].model_id(name)
            if model != name:  # the request names it by an alias
                state["response_headers"] = {**state["response_headers"], "x-model-mapped-to": model}
            # After the model is set, so that a refusal is counted with it.
            if (count := len(parsed.messages)) > (limit := state["settings"].max_messages):
                message = f"messages: {count} are more than {limit}; leave the oldest ones out"
                raise InvalidRequest(message, param="messages")
            return await handle(_ParsedRequest(request.scope, data, parsed))

        return guarded


class _ParsedRequest(Request):
    """A request whose body has been read and parsed. FastAPI would parse it again, into objects, on the event loop."""

    def __init__(self, scope: Scope, data: bytes, parsed: ChatRequest) -> None:
        super().__init__(scope)
        self._data = data
        self._parsed = parsed

    async def body(self) -> bytes:
        return self._data

    async def json(self) -> ChatRequest:
        """FastAPI accepts an instance of the validated type as it is."""
        return self._parsed
