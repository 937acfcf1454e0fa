"""What a caller is told at the door, and what becomes of the tokens of its chat."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn
from uuid import UUID

from app.core.errors import QuotaExceeded, QuotaUnavailable, StreamQuotaExceeded, TokenQuotaExceeded
from app.core.record import ChatRecord
from app.quota.access import Access, StoreAway
from app.quota.ledger import Ledger, Standing, Window

_ANYONE = "anyone"
_ROUNDING_S = 0.5
"""Redis tells the rest of a minute in whole seconds, which may be so much too short."""
_CROSSING_S = 0.05
"""Where a stream that ends and the one that its client asks for next may cross, on their ways over two workers."""
_LAST_WORDS_S = 2


class Quota:
    """`client` is the name of a key, and `visit` the id of its request. Callers without a name share what one has."""

    def __init__(self, ledger: Ledger, access: Access, *, fail_open: bool) -> None:
        self._ledger = ledger
        self._access = access
        self._fail_open = fail_open
        self._inside: dict[UUID, str] = {}
        self._beside: set[asyncio.Task[None]] = set()

    async def enter(self, client: str | None, visit: UUID) -> Mapping[str, str]:
        """One request of a caller's; what is left for it, as headers. Raises QuotaExceeded or QuotaUnavailable.

        `leave` has to follow, whatever comes of it.
        """
        who = self._inside[visit] = client or _ANYONE
        try:
            standing = await self._access.do("enter", lambda: self._ledger.enter(who, str(visit)))
            may_stream = standing.has_place or await self._waited_for_place(who, visit)
        except StoreAway as exc:
            if self._fail_open:
                self._ledger.admit(who, str(visit))
                return {}
            raise QuotaUnavailable("quotas cannot be counted at the moment; try again", retry_after=1) from exc
        _refuse_beyond(standing, may_stream=may_stream)
        return _headers(standing)

    def leave(self, visit: UUID) -> None:
        """The request is over; a chat that has `ended` has left already."""
        if (who := self._inside.pop(visit, None)) is not None:
            self._settle(who, visit, 0)

    def ended(self, record: ChatRecord) -> None:
        """The chat is over, and its tokens are known or estimated. Returns at once; nobody waits for the rest."""
        who = self._inside.pop(record.id, None) or record.client or _ANYONE
        self._settle(who, record.id, (record.prompt_tokens or 0) + (record.completion_tokens or 0))

    async def aclose(self) -> None:
        """Waits for what is still to be counted, a moment."""
        if self._beside:
            await asyncio.wait(self._beside, timeout=_LAST_WORDS_S)

    async def _waited_for_place(self, who: str, visit: UUID) -> bool:
        await asyncio.sleep(_CROSSING_S)
        return await self._access.do("enter", lambda: self._ledger.take_place(who, str(visit)))

    def _settle(self, who: str, visit: UUID, tokens: int) -> None:
        self._ledger.leave(who, str(visit))
        task = asyncio.create_task(self._settled(who, visit, tokens), name="quota")
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _settled(self, who: str, visit: UUID, tokens: int) -> None:
        with suppress(StoreAway):  # it was counted: tokens that cannot be written down are a gift
            await self._access.do("settle", lambda: self._ledger.settle(who, str(visit), tokens))


def _refuse_beyond(standing: Standing, *, may_stream: bool) -> None:
    limits = _headers(standing)
    if (requests := standing.requests) and requests.used > requests.limit:
        _refuse(QuotaExceeded, f"no more than {requests.limit} requests a minute for each key", requests, limits)
    if (tokens := standing.tokens) and not tokens.remaining:
        _refuse(TokenQuotaExceeded, f"no more than {tokens.limit} tokens a minute for each key", tokens, limits)
    if not may_stream:
        message = "all streams that a key may have at once are running; wait until one of them ends"
        raise StreamQuotaExceeded(message, retry_after=1, rate_limits=limits)


def _refuse(kind: type[QuotaExceeded], message: str, window: Window, limits: Mapping[str, str]) -> NoReturn:
    retry_after = max(1.0, window.reset_s + _ROUNDING_S)
    raise kind(f"{message}; wait for 'Retry-After' seconds", retry_after=retry_after, rate_limits=limits)


def _headers(standing: Standing) -> Mapping[str, str]:
    """As Groq and OpenAI tell theirs."""
    headers: dict[str, str] = {}
    for kind, window in (("requests", standing.requests), ("tokens", standing.tokens)):
        if window is not None:
            headers[f"x-ratelimit-limit-{kind}"] = str(window.limit)
            headers[f"x-ratelimit-remaining-{kind}"] = str(window.remaining)
            headers[f"x-ratelimit-reset-{kind}"] = _duration(window.reset_s)
    return headers


def _duration(seconds: float) -> str:
    """As Go writes it: `59.87s`."""
    return f"{round(seconds, 2):g}s"
