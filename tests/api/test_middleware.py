"""Middleware: request ids and errors."""

import json
import traceback
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.api.middleware import RequestLifecycle
from app.core.errors import InternalError


async def _call(app: Any) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"x-request-id", b"x" * 500)]}
    await RequestLifecycle(app)(scope, receive, send)
    return sent


async def test_unexpected_exception_is_a_500_without_details() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("secret detail")

    start, body = await _call(broken)
    assert start["status"] == 500
    assert b"x-request-id" in dict(start["headers"])
    assert json.loads(body["body"])["error"]["code"] == "internal_error"
    assert b"secret" not in body["body"]


async def test_exception_after_the_headers_is_raised_without_its_message() -> None:
    """The server would log it, and the span would record it."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("secret detail")

    with pytest.raises(InternalError) as caught:
        await _call(broken)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


async def test_client_request_id_is_truncated() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["state"]["client_request_id"] == "x" * 200
        await send({"type": "http.response.start", "status": 200, "headers": []})

    (start,) = await _call(app)
    assert start["status"] == 200
