"""The limits, and what a client has used of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.errors import QuotaExceeded, TokenQuotaExceeded

WINDOW_S = 60


@dataclass(frozen=True, slots=True)
class Limits:
    """The quotas of each client; None is unlimited. Requests and tokens are per minute, `streams` are running chats."""

    requests: int | None
    tokens: int | None
    streams: int | None


@dataclass(frozen=True, slots=True)
class Window:
    """What a client has used, and the time until that is forgotten."""

    used: int
    reset_s: float


@dataclass(frozen=True, slots=True)
class QuotaStatus:
    """What a client has used, this request included. `may_stream`: this request counts as one of the running chats."""

    limits: Limits
    requests: Window
    tokens: Window
    may_stream: bool

    @property
    def headers(self) -> Mapping[str, str]:
        """In the format of Groq and OpenAI; durations as Go formats them: `59.87s`."""
        headers: dict[str, str] = {}
        for kind, limit, window in (
            ("requests", self.limits.requests, self.requests),
            ("tokens", self.limits.tokens, self.tokens),
        ):
            if limit is not None:
                headers[f"x-ratelimit-limit-{kind}"] = str(limit)
                headers[f"x-ratelimit-remaining-{kind}"] = str(max(0, limit - window.used))
                headers[f"x-ratelimit-reset-{kind}"] = f"{round(window.reset_s, 2):g}s"
        return headers

    def refuse_if_exceeded(self) -> None:
        """Raise QuotaExceeded if this request is one too many, or no tokens are left for it."""
        for error, limit, needed, window in (
            (QuotaExceeded, self.limits.requests, 0, self.requests),
            (TokenQuotaExceeded, self.limits.tokens, 1, self.tokens),
        ):
            if limit is not None and window.used + needed > limit:
                message = f"no more than {limit} {error.type} a minute for each key; wait for 'Retry-After' seconds"
                raise error(message, retry_after=max(1, window.reset_s), rate_limits=self.headers)
