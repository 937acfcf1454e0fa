"""Many clients for a while, and what they saw."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.overload.client import Answer, Client

_RAMP_S = 9
"""They come one after the other for as long as an answer takes, or they would all ask at the same moment for ever."""
_SETTLED_AFTER_S = 20


@dataclass(frozen=True)
class Seen:
    """The answers of one crowd, without those that it asked for while it was still gathering. `tokens` are in each."""

    clients: int
    tokens: int
    answers: Sequence[Answer]
    lost: int

    @property
    def read(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status == 200]

    @property
    def refused(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status == 503]

    @property
    def broken(self) -> int:
        """Neither an answer with its receipt nor a refusal."""
        return self.lost + len(self.answers) - len(self.refused) - sum(answer.done for answer in self.read)

    def first_token_ms(self, percent: int) -> float:
        return percentile([(answer.first_token_s or 0) * 1000 for answer in self.read], percent)

    def per_token_ms(self, percent: int) -> float:
        waits = [answer.ended_s - (answer.first_token_s or 0) for answer in self.read]
        return percentile([wait * 1000 / (self.tokens - 1) for wait in waits], percent)

    def refusal_ms(self, percent: int) -> float:
        return percentile([answer.ended_s * 1000 for answer in self.refused], percent)


def percentile(values: Sequence[float], percent: int) -> float:
    """NaN where there is nothing to divide."""
    if len(values) < 2:
        return float("nan")
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


async def crowd(url: str, *, clients: int, seconds: float, tokens: int) -> Seen:
    """So many clients, each on a connection of its own, for that long after they have settled."""
    loop = asyncio.get_running_loop()
    host, port = url.removeprefix("http://").split(":")
    answers: list[Answer] = []
    began = time.monotonic()
    members = []
    for number in range(clients):
        _, client = await loop.create_connection(lambda: Client(answers.append), host, int(port))
        members.append(client)
        await asyncio.sleep(max(0, began + _RAMP_S * number / clients - time.monotonic()))
    await asyncio.sleep(max(0, began + _SETTLED_AFTER_S + seconds - time.monotonic()))
    for member in members:
        member.stop()
    settled = [answer for answer in answers if answer.asked > began + _SETTLED_AFTER_S]
    return Seen(clients, tokens, settled, sum(member.lost for member in members))
