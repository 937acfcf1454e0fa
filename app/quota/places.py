"""Streams at once, of one worker."""

from collections import defaultdict


class Places:
    """So many for each caller. Satisfies `ledger.Streams`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken: defaultdict[str, set[str]] = defaultdict(set)

    async def take(self, who: str, visit: str) -> bool:
        """Whether there was one left."""
        if len(self._taken[who]) >= self.most:
            return False
        self.admit(who, visit)
        return True

    def admit(self, who: str, visit: str) -> None:
        """The stream runs."""
        self._taken[who].add(visit)

    def leave(self, who: str, visit: str) -> None:
        """The stream is over; nothing happens if it had no place."""
        self._taken[who].discard(visit)
        if not self._taken[who]:
            del self._taken[who]

    async def give_back(self, who: str, visit: str) -> None:
        """There is nobody else to tell."""
