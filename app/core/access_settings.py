"""The settings of who may ask, and for how much."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode

from app.core.keys import digests
from app.core.setting_types import Addresses, Count, Names, RedisUrl, Seconds, origins


class AccessSettings(BaseSettings):
    """Part of the Settings, which stand in config.py."""

    api_keys: Annotated[dict[str, str], NoDecode, BeforeValidator(digests)] = Field(default={}, repr=False)
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

    @property
    def has_quota(self) -> bool:
        """Whether anything is counted at all."""
        return any((self.quota_requests_per_minute, self.quota_tokens_per_minute, self.quota_streams))
