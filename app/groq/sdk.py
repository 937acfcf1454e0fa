"""The openai SDK's part: the URL and the headers of a request for a chat.

Its `post` builds the same request for every chat, and needs longer for that than sending it takes. So it builds one for
the life of the process; chats differ in their bodies alone. And its objects, one for each token, stay out of the path.
"""

from collections.abc import Mapping

import httpx2
from openai import AsyncOpenAI

_HEADERS = {
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


class _Kept(httpx2.AsyncBaseTransport):
    """Keeps the request that was to be sent."""

    request: httpx2.Request

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.request = request
        return httpx2.Response(200, request=request)
