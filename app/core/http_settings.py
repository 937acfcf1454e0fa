"""The settings of HTTP: who may send requests, how large they may be, and the pages for a browser."""

import re
from hashlib import sha256
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode

from app.core.setting_types import Addresses, Count, HttpUrl, Names, RedisUrl, Seconds, origins

MOST_MESSAGES = 10_000
"""No setting allows more: reading them would block the event loop for too long."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OTHER_DIGEST = re.compile(r"(sha\d*|sha-\d+|md5|blake\w+)[:= -]+[0-9a-f]{32,}|\$\w+\$.+", re.IGNORECASE)
_NAME = re.compile(r"[\w.-]{1,64}")
_FORM = (
    "use name:secret or name:sha256:hex, with commas between them; a name has letters, digits, '.', '_' and '-', "
    "a secret is printable ASCII"
)


def _digests(value: Any) -> Any:
    """The SHA-256 of each key, in hex, by its name. Raises ValueError, which does not quote a key."""
    if not isinstance(value, str):
        return value
    found: dict[str, str] = {}
    if not value:
        return found
    for entry in value.split(","):
        name, _, secret = (part.strip() for part in entry.strip().partition(":"))
        if not _NAME.fullmatch(name) or not secret or not (secret.isascii() and secret.isprintable()):
            raise ValueError(_FORM)
        known = _digest(name, secret)
        if name in found or known in found.values():
            raise ValueError(f"{_FORM}; '{name}' or its key is there twice")
        found[name] = known
    return found


def _digest(name: str, secret: str) -> str:
    kind, _, digest = secret.partition(":")
    if kind.strip().lower() in {"sha256", "sha-256"}:
        known = digest.strip().lower()
        if not _SHA256.fullmatch(known):
            raise ValueError(f"{_FORM}; the hex of '{name}' needs 64 digits")
        return known
    if _OTHER_DIGEST.fullmatch(secret):  # as a secret, the digest itself would be the key
        raise ValueError(f"{_FORM}; '{name}' has a digest in another form")
    return sha256(secret.encode()).hexdigest()


class HttpSettings(BaseSettings):
    """Part of the Settings in config.py."""

    # ── Callers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    api_keys: Annotated[dict[str, str], NoDecode, BeforeValidator(_digests)] = Field(default={}, repr=False)
    """Who may ask: `name:secret` or `name:sha256:hex`, with commas between them; kept as SHA-256 alone."""
    forwarded_allow_ips: Addresses = ""
    """The proxies whose `X-Forwarded-For` and `-Proto` are believed; anybody else could claim to be anyone."""
    quota_requests_per_minute: Count | None = None
    """For each key; without it, as often as one likes: only who runs the service knows what its callers may cost."""
    quota_tokens_per_minute: Count | None = None
    """For each key, in and out together. They are known when a chat has ended, so the last ones may go beyond it."""
    quota_streams: Count | None = None
    """At once, for each key."""
    redis_url: RedisUrl | None = None
    """Where quotas are counted for all workers and machines together; without it, each worker counts for itself."""
    redis_timeout_s: Seconds = 0.25
    """A hundred times what Redis takes, and less than a first token."""
    quota_fail_open: bool = True
    """While Redis is away, chats are let in uncounted; without it they are refused with 503."""
    cors_allow_origins: Annotated[tuple[str, ...], *Names, AfterValidator(origins)] = ()
    """Pages of these origins may ask from a browser; `*` is all. Without any, browsers let none but our own."""

    # ── Request bodies ───────────────────────────────────────────────────────────────────────────────────────────────
    max_body_bytes: Count = 4 * 2**20
    """4 MiB: a long conversation with a picture in it, and no more than a row should hold."""
    max_body_values: Annotated[int, Field(ge=1000)] = 100_000
    """JSON values of any kind in one request, which cost more than bytes: room for 10,000 messages of several parts. As
    many as this take 20 ms to validate, and 10 MB for that time."""
    max_body_bytes_in_flight: Count = Field(default=2**26, validate_default=True)
    """64 MiB of each worker, for all requests that are being sent or answered; half of it for one caller, at the most.
    That is 64 KiB for each of 512 streams. While its row is written, a request takes several times its size."""
    body_timeout_s: Seconds = 30
    """How long a client may take to send its request."""
    max_messages: Annotated[int, Field(gt=0, le=MOST_MESSAGES)] = 1000
    """In one request: more than fit a model's context, if each says something."""

    # ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────
    api_docs: bool | None = None
    """Whether `/docs` and `/openapi.json` are there; by default, in development alone."""
    page: bool | None = None
    """Whether there is a page at `/`; by default, in development alone."""
    page_trace_url: HttpUrl | None = None
    """Where the page sends people to see a trace: `{trace_id}` and `{id}` are filled in."""
    page_row_url: HttpUrl | None = None
    """Where it sends them to see a row, in the same way."""

    @field_validator("max_body_bytes_in_flight")
    @classmethod
    def _has_room_for_the_largest(cls, limit: int, others: ValidationInfo) -> int:
        if limit < (least := 2 * others.data.get("max_body_bytes", 0)):
            raise ValueError(f"use {least} or more, as one caller may take half of it, and MAX_BODY_BYTES has to fit")
        return limit

    @property
    def has_quota(self) -> bool:
        """Whether anything is counted at all."""
        return any((self.quota_requests_per_minute, self.quota_tokens_per_minute, self.quota_streams))
