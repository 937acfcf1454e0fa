"""What is asked for, how often, and by how many."""

import json
import random
from dataclasses import dataclass, replace
from typing import Self

_THINK_S = 0.05
"""At the most: those who ended together are not to ask together."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """`chats` answers of so many tokens, `rate` a second, the role's event `first_ms` after the request.

    `clients` ask one after the other, each on a connection of its own, and begin at random within `ramp_s` seconds (by
    default one answer's length). With `arrivals_per_s` nobody waits for anybody: chats begin at that mean rate, as
    independent people's do. After `stop_after_s` those who waited ask no more, however many chats are left: a slow
    contender does not take longer. The upstream breaks off before the token `cut`.
    """

    tokens: int
    rate: float = 400
    first_ms: float = 50
    clients: int = 1
    chats: int = 1
    ramp_s: float | None = None
    arrivals_per_s: float | None = None
    cut: int | None = None
    stop_after_s: float | None = None
    seed: int = 0

    @property
    def chat_s(self) -> float:
        """How long the upstream takes for one answer."""
        return self.first_ms / 1000 + (self.tokens + 1) / self.rate

    @property
    def text(self) -> str:
        """The message that tells the upstream what to answer."""
        cut = "" if self.cut is None else f" cut={self.cut}"
        return f"tokens={self.tokens} rate={self.rate:g} first_ms={self.first_ms:g}{cut}"

    def lasting(self, seconds: float) -> Self:
        """The same for about so long."""
        if self.arrivals_per_s:
            return replace(self, chats=round(self.arrivals_per_s * seconds))
        each = max(1, round(seconds / (self.chat_s + _THINK_S / 2)))
        return replace(self, chats=self.clients * each, stop_after_s=seconds)

    def arrivals(self, rng: random.Random) -> list[float]:
        """When the first chats are asked for, in seconds from the start: all of them, where nobody waits."""
        if self.arrivals_per_s:
            mean, at = self.arrivals_per_s, 0.0
            return [at := at + rng.expovariate(mean) for _ in range(self.chats)]
        ramp_s = self.chat_s if self.ramp_s is None else self.ramp_s
        return sorted(rng.uniform(0, ramp_s) for _ in range(min(self.clients, self.chats)))

    def think_s(self, rng: random.Random) -> float:
        """How long a client waits before it asks again."""
        return rng.uniform(0, _THINK_S)

    def request(self, host: str, path: str) -> bytes:
        """The same for every contender."""
        message = {"role": "user", "content": self.text}
        body = json.dumps({"model": "openai/gpt-oss-20b", "stream": True, "messages": [message]}).encode()
        head = [f"POST {path} HTTP/1.1", f"host: {host}", "content-type: application/json"]
        return "\r\n".join([*head, f"content-length: {len(body)}", "", ""]).encode() + body
