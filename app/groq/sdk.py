"""The openai SDK's part: what a request for a chat looks like, and what a refusal means.

Its `post` builds the same request for every chat, and needs longer for that than sending it takes. So it builds one for
the life of the process; chats differ in their bodies alone. And its objects, one for each token, stay out of the path.
"""

from collections.abc import Mapping

import httpx2
from openai import APIStatusError, AsyncOpenAI

_HEADERS = {
    "accept": "text/event-stream",
    # Compressed events would have to be unpacked before they could be relayed.
    "accept-encoding": "identity",
    "content-type": "application/json",
}
_OF_ONE_REQUEST = {"host", "content-length"}


class Sdk:
    """One per process. It sends nothing itself."""

    def __init__(self, *, base_url: str, api_key: str) -> None:
        self._kept = _Kept()
        self._sdk = AsyncOpenAI(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,  # tenacity retries; twice would multiply
            http_client=httpx2.AsyncClient(transport=self._kept),
        )

    async def request(self) -> tuple[str, Mapping[str, str]]:
        """The URL and the headers of a request for a chat."""
        await self._sdk.post("/chat/completions", cast_to=httpx2.Response, content=b"", options={"headers": _HEADERS})
        request = self._kept.request
        return str(request.url), {name: value for name, value in request.headers.items() if name not in _OF_ONE_REQUEST}

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        """The SDK's exception for an answer that is no success."""
        # As they came they may hold what httpx2 refuses, or unpacks.
        told = {name: _ascii(headers[name]) for name in ("content-type", "x-request-id") if name in headers}
        response = httpx2.Response(status, headers=told, content=body, request=self._kept.request)
        return self._sdk._make_status_error_from_response(response)  # noqa: SLF001


class _Kept(httpx2.AsyncBaseTransport):
    """Keeps the request that was to be sent."""

    request: httpx2.Request

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.request = request
        return httpx2.Response(200, request=request)


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()
