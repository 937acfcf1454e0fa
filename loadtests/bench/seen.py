"""What all clients of a run saw."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.bench.answer import Chat


@dataclass(frozen=True)
class Seen:
    """The chats of one run; it took `wall_s`, and `cpu_s` of this process. All clients had begun after `ramp_s`."""

    chats: Sequence[Chat]
    began: float
    ramp_s: float
    wall_s: float
    cpu_s: float

    @property
    def errors(self) -> Counter[str]:
        return Counter(chat.error for chat in self.chats if chat.error)

    @property
    def good(self) -> list[Chat]:
        return [chat for chat in self.chats if chat.error is None]

    @property
    def tokens(self) -> int:
        """Those of whole answers."""
        return sum(chat.tokens for chat in self.good)

    @property
    def tokens_per_s(self) -> float:
        """While nobody was yet to begin and nobody had stopped asking; NaN if there was no such time."""
        begun, ending = self.began + self.ramp_s, max((chat.asked for chat in self.good), default=0.0)
        if ending <= begun:
            return float("nan")
        return sum(chat.tokens_between(begun, ending) for chat in self.good) / (ending - begun)
