"""What a chat used and cost: tokens as the provider counted them, or an estimate, and their price."""

from dataclasses import dataclass
from http import HTTPStatus

from app.core.models import ModelPrice
from app.core.upstream import Attempt, UpstreamTimeout

_BYTES_PER_TOKEN = 4
_MAX_COST_USD = 100_000
"""What the column has digits for. A chat that costs more has a price in another unit, which is not known then."""


@dataclass(slots=True)
class Usage:
    """Token counts: `completion_tokens` includes `reasoning_tokens`, `prompt_tokens` includes `cached_tokens`.

    Times are in seconds, as the provider measured them.
    """

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    queue_s: float | None = None
    prompt_s: float | None = None
    completion_s: float | None = None

    def cost_usd(self, price: ModelPrice | None) -> float | None:
        """The cost in US dollars, or None without a price, or with an impossible one: an unknown cost is not zero.

        Cached input has its own price where the list gives one; reasoning is paid as output.
        """
        if price is None:
            return None
        cached_price = price.input if price.cached_input is None else price.cached_input
        uncached_tokens = self.prompt_tokens - self.cached_tokens
        dollars = (
            uncached_tokens * price.input + self.cached_tokens * cached_price + self.completion_tokens * price.output
        )
        cost = round(dollars / 1_000_000, 9)
        return cost if cost < _MAX_COST_USD else None


def estimated_usage(*, progress_chunks: int, body_bytes: int, answer_bytes: int) -> Usage:
    """Estimates the tokens of a chat that ended before the provider sent its usage, but after it has worked.

    The estimate is a token for every four bytes of the request (with its tools and pictures), and one for each chunk of
    a stream, or for every four bytes of an answer that is not streamed.
    """
    return Usage(body_bytes // _BYTES_PER_TOKEN, progress_chunks or answer_bytes // _BYTES_PER_TOKEN)


def has_worked(attempt: Attempt, *, streamed: bool) -> bool:
    """Whether the provider has worked, and so bills the attempt.

    It has if it answered, if the chat was cancelled after it was sent the request, and if it sent a status 200 and then
    no token in time. A stream that broke off before its first token is not counted: the provider's error ended its
    work. An answer that is not streamed was complete when its status was sent.
    """
    if attempt.result == "cancelled":
        return attempt.sent
    started_answer = attempt.status == HTTPStatus.OK
    return attempt.error is None or (started_answer and (not streamed or isinstance(attempt.error, UpstreamTimeout)))
