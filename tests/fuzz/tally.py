"""What came of the inputs of one source."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

HANG_S = 10
_KEPT = 5
_HEAD = f"{'source':<28}{'inputs':>8}{'2xx':>8}{'4xx':>8}{'5xx':>6}{'hangs':>7}{'broken':>8}{'slowest':>10}"


@dataclass
class Tally:
    """`broken` are promises that were not kept, other than those on statuses and on time."""

    source: str
    inputs: int = 0
    ok: int = 0
    refused: int = 0
    failed: int = 0
    hangs: int = 0
    broken: int = 0
    slowest_s: float = 0
    examples: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.failed or self.hangs or self.broken)

    def answered(self, statuses: list[int], shown: object) -> None:
        """Counts the answers to one input."""
        self.ok += any(status < 400 for status in statuses)
        self.refused += any(400 <= status < 500 for status in statuses)
        if any(status >= 500 for status in statuses):
            self.failed += 1
            self._keep(f"{statuses}: {shown}")

    def hung(self, shown: object) -> None:
        self.hangs += 1
        self._keep(f"no answer in {HANG_S} s: {shown}")

    def broke(self, why: object) -> None:
        self.broken += 1
        self._keep(str(why))

    @contextmanager
    def one(self) -> Iterator[None]:
        """Times one input."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.inputs += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - start)

    def _keep(self, example: str) -> None:
        if len(self.examples) < _KEPT:
            self.examples.append(f"{self.source}: {example[:2000]}")


def table(tallies: list[Tally]) -> str:
    return "\n".join([_HEAD, *(_row(each) for each in tallies)])


def _row(tally: Tally) -> str:
    has_statuses = tally.ok or tally.refused or tally.failed
    statuses = (tally.ok, tally.refused, tally.failed) if has_statuses else ("", "", "")
    counts = "{:>8}{:>8}{:>6}".format(*statuses)
    return f"{tally.source:<28}{tally.inputs:>8}{counts}{tally.hangs:>7}{tally.broken:>8}{tally.slowest_s:>8.2f} s"
