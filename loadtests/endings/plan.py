"""How much of it."""

from dataclasses import dataclass
from itertools import pairwise

STALL_TIMEOUT_S = 2
LITTLE_BODY = 65_536
FEW_VALUES = 1000

SERVICE = {
    "GROQ_API_KEY": "any",
    "GROQ_RETRY_SLEEP_BUDGET_S": "0.5",
    "GROQ_FIRST_TOKEN_TIMEOUT_S": "2",
    "INTER_TOKEN_TIMEOUT_S": "2",
    "CLIENT_WRITE_TIMEOUT_S": str(STALL_TIMEOUT_S),
    "CLIENT_BUFFER_BYTES": "16384",
    "MAX_BODY_BYTES": str(LITTLE_BODY),
    "MAX_BODY_VALUES": str(FEW_VALUES),
    "OTEL_BSP_SCHEDULE_DELAY": "500",
}
"""Limits that are reached soon."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`warm_up` chats first, then the worker is measured, and again after every `stretch` of them."""

    chats: int = 10_000
    warm_up: int = 500
    stretch: int = 1000
    clients: int = 30
    closings: int = 50
    """How often each way to leave is timed."""
    seed: int = 0
    patience_s: float = 30
    """What takes longer, is not going to happen."""

    @property
    def stretches(self) -> list[range]:
        """The numbers of the chats between two looks at the worker."""
        looks = [0, self.warm_up, *range(self.stretch, self.chats, self.stretch), self.chats]
        ends = sorted({look for look in looks if look <= self.chats})
        return [range(first, last) for first, last in pairwise(ends)]
