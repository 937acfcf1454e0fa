"""Settings of the HTTP interface: clients and quotas, request bodies, pages."""

import re
from hashlib import sha256
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode

from app.core.setting_types import Addresses, Count, HttpUrl, Names, RedisUrl, Seconds, origins

MOST_MESSAGES = 10_000
"""The largest value of MAX_MESSAGES: reading more would block the event loop for too long."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OTHER_DIGEST = re.compile(r"(sha\d*|sha-\d+|md5|blake\w+)[:= -]+[0-9a-f]{32,}|\$\w+\$.+", re.IGNORECASE)
_NAME = re.compile(r"[\w.-]{1,64}")
_RESERVED_NAMES = {"anonymous", "other"}  # labels of metrics, for clients without a key and for those beyond the limit
_FORM = (
    "use name:secret or name:sha256:hex, with commas between them; a name has letters, digits, '.', '_' and '-', "
    "a secret is printable ASCII"
)


def _digests(value: Any) -> Any:
    """Returns the hexadecimal SHA-256 of each key by its name. Raises ValueError without quoting a key."""
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
        if name in _RESERVED_NAMES:
            raise ValueError(f"'{name}' is a label of the metrics; give the client another name")
        if name in found or known in found.values():
            raise ValueError(f"{_FORM}; '{name}' or its key occurs twice")
        found[name] = known
    return found


def _digest(name: str, secret: str) -> str:
    kind, _, digest = secret.partition(":")
    if kind.strip().lower() in {"sha256", "sha-256"}:
        known = digest.strip().lower()
        if not _SHA256.fullmatch(known):
            raise ValueError(f"{_FORM}; the hex of '{name}' needs 64 digits")
        return known
    if _OTHER_DIGEST.fullmatch(secret):  # as a plain secret, the digest itself would be the key
        raise ValueError(f"{_FORM}; '{name}' has a digest in another form")
    return sha256(secret.encode()).hexdigest()


class HttpSettings(BaseSettings):
    """Part of the Settings in config.py."""

    # ── Clients ──────────────────────────────────────────────────────────────────────────────────────────────────────

    api_keys: Annotated[dict[str, str], NoDecode, BeforeValidator(_digests)] = Field(default={}, repr=False)
    """Clients and their keys: `name:secret` or `name:sha256:hex`, separated by commas. Only the SHA-256 is held in
    memory."""
    forwarded_allow_ips: Addresses = ""
    """Proxies whose `X-Forwarded-For` and `-Proto` are trusted. From other addresses the headers are ignored."""
    quota_requests_per_minute: Count | None = None
    """Requests of each key in a minute. No default: what clients may cost is the operator's decision."""
    quota_tokens_per_minute: Count | None = None
    """Tokens of each key in a minute, prompt and answer together. They are known when a chat has ended, so the last
    chats may exceed the quota."""
    quota_streams: Count | None = None
    """Running chats of each key, streamed or not."""
    redis_url: RedisUrl | None = None
    """Counts quotas for all workers and machines together. Without it each worker counts its own requests."""
    redis_timeout_s: Seconds = 0.25
    """A hundred times the usual answer time of Redis, and less than a first token takes."""
    quota_fail_open: bool = True
    """While Redis is unavailable, chats are admitted without being counted. If false, they are refused with 503."""
    cors_allow_origins: Annotated[tuple[str, ...], *Names, AfterValidator(origins)] = ()
    """Origins whose pages may call the service from a browser; `*` means all. By default only its own page can."""

    # ── Request bodies ───────────────────────────────────────────────────────────────────────────────────────────────
    max_body_bytes: Count = 4 * 2**20
    """4 MiB: a long conversation with a picture, and no more than a row should hold."""
    max_body_values: Annotated[int, Field(ge=1000)] = 100_000
    """JSON values of any kind in one request: enough for 10,000 messages of several parts. The cost of a request
    depends more on its values than on its bytes: this many take 20 ms and 10 MB to validate."""
    max_body_bytes_in_flight: Count = Field(default=2**26, validate_default=True)
    """64 MiB of each worker for all requests that are being received or answered; one client may use half. That is 64
    KiB for each of 512 chats after one client has used its half. While its row is written, a request takes several
    times its size."""
    body_timeout_s: Seconds = 30
    """The longest time for receiving a request body."""
    max_messages: Annotated[int, Field(gt=0, le=MOST_MESSAGES)] = 1000
    """Messages of one request: more than fit into a model's context."""

    # ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────
    api_docs: bool | None = None
    """Serves `/docs` and `/openapi.json`; by default only in development."""
    page: bool | None = None
    """Serves the page at `/`; by default only in development."""
    page_trace_url: HttpUrl | None = None
    """The page's link to a trace; `{trace_id}` and `{id}` are replaced."""
    page_row_url: HttpUrl | None = None
    """The page's link to a row; `{trace_id}` and `{id}` are replaced."""

    @field_validator("max_body_bytes_in_flight")
    @classmethod
    def _fits_the_largest_body(cls, limit: int, others: ValidationInfo) -> int:
        if limit < (least := 2 * others.data.get("max_body_bytes", 0)):
            raise ValueError(f"use {least} or more: a body of MAX_BODY_BYTES has to fit into the half of one client")
        return limit

    @property
    def needs_key(self) -> bool:
        """Whether clients must authenticate."""
        return bool(self.api_keys)

    @property
    def has_quota(self) -> bool:
        """Whether any quota is set."""
        return bool(self.quota_limits)

    @property
    def quota_limits(self) -> dict[str, int]:
        """The quotas that are set, by kind: requests and tokens per minute, running chats (`streams`)."""
        limits = {
            "requests": self.quota_requests_per_minute,
            "tokens": self.quota_tokens_per_minute,
            "streams": self.quota_streams,
        }
        return {kind: limit for kind, limit in limits.items() if limit is not None}
