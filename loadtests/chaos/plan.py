"""How much of everything."""

from dataclasses import dataclass

STALL_TIMEOUT_S = 3
GAP_TIMEOUT_S = 2

SERVICE = {
    "GROQ_RETRY_SLEEP_BUDGET_S": "2",
    "GROQ_FIRST_TOKEN_TIMEOUT_S": "3",
    "INTER_TOKEN_TIMEOUT_S": str(GAP_TIMEOUT_S),
    "CHAT_TIMEOUT_S": "20",
    "CLIENT_WRITE_TIMEOUT_S": str(STALL_TIMEOUT_S),
    "DRAIN_TIMEOUT_S": "4",
}
"""Limits that a run of a minute can reach."""

Range = tuple[float, float]
"""The least and the most, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run lasts until so many answers have begun and each kind of trouble has struck."""

    streams: int = 2000
    clients: int = 40
    seed: int = 0
    between_chats_s: Range = (0.1, 0.6)
    between_kills_s: Range = (1, 5)
    between_outages_s: Range = (3, 8)
    outage_s: Range = (1, 5)
    weather_s: Range = (2, 5)
    """How long Groq stays broken in one way."""
    patience_s: float = 60
    """Nothing is waited for longer than this: no answer, no worker, no receipt after an outage."""
