"""HTTP to Groq: one session for the process, requests as the openai SDK configures them, errors as exceptions."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from io import BytesIO
from typing import Any, Self

import aiohttp
import httpx2  # the successor of httpx, which the SDK depends on
import msgspec
from openai import AsyncOpenAI
from yarl import URL

from app.core.config import Settings
from app.core.text import storable
from app.core.upstream import Attempt, UpstreamBroken, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from app.services.groq.connector import create_connector, proxy_of
from app.services.groq.errors import caused_by, error_from_response
from app.services.groq.rate_limits import parse_rate_limits, parse_retry_after

_DECODED_ENCODINGS = {"", "identity", "gzip", "deflate"}
"""The encodings that aiohttp decodes. The service asks for `identity`; a proxy may compress all the same."""
_MAX_ERROR_BYTES = 2**16
_LARGE_REQUEST_BYTES = 2**16
_READ_BUFFER_BYTES = 2**16
"""aiohttp stops receiving when twice as many bytes wait to be read: a block holds no more, whatever Groq sends."""


class GroqHttp:
    """The connections to Groq; open while its context is entered. `session` sends the service's key by default."""

    session: aiohttp.ClientSession
    _url: URL

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __aenter__(self) -> Self:
        ssl_context = httpx2.create_ssl_context()
        base_url, api_key = self._settings.groq_endpoint
        # The SDK only builds the headers and the URL: sending through it would cost a quarter of a chat's CPU more
        # (docs/decisions/requests.md). It has no retries, because tenacity retries.
        http_client = httpx2.AsyncClient(verify=ssl_context, trust_env=False)
        async with AsyncOpenAI(api_key=api_key, base_url=base_url, max_retries=0, http_client=http_client) as sdk:
            self._url = URL(str(sdk.base_url.join("chat/completions")))
            headers = {**sdk.auth_headers, **sdk.default_headers}
        # Compressed events would have to be unpacked before they could be relayed.
        headers["Accept-Encoding"] = "identity"
        self.session = aiohttp.ClientSession(
            connector=create_connector(ssl_context),
            headers={name: value for name, value in headers.items() if isinstance(value, str)},  # the rest is unset
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_BUFFER_BYTES,
            # What HTTPS_PROXY says is meant for Groq, and not for a simulator on this machine or network.
            proxy=proxy_of(self._url) if self._settings.groq_api_key is not None else None,
            timeout=aiohttp.ClientTimeout(total=None, connect=self._settings.groq_connect_timeout_s),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def post(self, payload: Mapping[str, Any], attempt: Attempt) -> aiohttp.ClientResponse:
        """Returns Groq's response, whose body the caller reads and closes; notes its headers in `attempt`.

        Raises an UpstreamError: Groq's error response, or why there is no response.
        """
        body = msgspec.json.encode(payload)
        upload = aiohttp.UploadTracker()
        try:
            response = await self.session.post(
                self._url,
                # aiohttp sends a file in pieces, and lets other tasks run in between.
                data=body if len(body) <= _LARGE_REQUEST_BYTES else BytesIO(body),
                allow_redirects=False,  # the key goes to Groq alone
                upload_tracker=upload,
            )
        except aiohttp.ServerTimeoutError as exc:
            limit_s = self._settings.groq_connect_timeout_s
            raise caused_by(exc, UpstreamTimeout(f"no connection to Groq within {limit_s:g} s")) from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise caused_by(exc, UpstreamUnreachable("Groq cannot be reached")) from exc
        finally:
            attempt.sent = upload.bytes_written > 0
        attempt.headers_at = time.monotonic()
        attempt.status = response.status
        attempt.rate_limits = parse_rate_limits(response.headers)
        encoding = response.headers.get("content-encoding", "").lower()
        if encoding not in _DECODED_ENCODINGS:
            response.close()
            message = f"Groq's answer is compressed ({encoding[:40]}), which this service did not ask for"
            raise UpstreamBroken(storable(message))
        if response.status != HTTPStatus.OK:
            raise await self._read_error(response, payload["model"])
        return response

    async def _read_error(self, response: aiohttp.ClientResponse, model: str) -> UpstreamError:
        try:
            async with response:
                body = await read_body(response, max_bytes=_MAX_ERROR_BYTES)
        except (aiohttp.ClientError, OSError) as exc:
            if not isinstance(exc.__cause__, aiohttp.http_exceptions.ContentEncodingError):
                return caused_by(exc, UpstreamUnreachable("the connection to Groq broke off"))
            body = b""  # it is not compressed as its header says: the status has to do
        error = error_from_response(
            response.status,
            body,
            content_type=response.headers.get("content-type", ""),
            retry_after=parse_retry_after(response.headers.get("retry-after")),
            configured_model=model in self._settings.configured_models,
        )
        error.upstream_request_id = response.headers.get("x-request-id")
        return error


async def read_body(response: aiohttp.ClientResponse, *, max_bytes: int) -> bytes:
    """Returns the whole body; of a longer one its beginning, which is longer than `max_bytes`.

    Raises aiohttp's errors, and OSError.
    """
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > max_bytes:
            break
    return bytes(body)
