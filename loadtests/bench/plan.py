"""How long, and how often."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Times are in seconds, and each is that of one run."""

    rounds: int = 3
    cost_s: float = 6
    lone_s: float = 4
    crowd_s: float = 5
    receipt_s: float = 12
    open_streams: int = 2000
    growth_s: float = 4
    per_chat_s: float = 6
    starts: int = 3


QUICK = Plan(
    rounds=1, cost_s=3, lone_s=1.5, crowd_s=2, receipt_s=4, open_streams=500, growth_s=2, per_chat_s=2, starts=1
)
