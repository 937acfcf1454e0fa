"""How it is told."""

from loadtests.overload.crowd import Seen

_COLUMNS = ["clients", "answers", "refused", "broken", "first token p50", "p99", "per token p50", "p99", "refusal p99"]


def table(seen: list[Seen]) -> str:
    """A line for each crowd; times are in milliseconds."""
    rows = [_COLUMNS, *map(_cells, seen)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return "\n".join("  " + "  ".join(map(str.rjust, row, widths)) for row in rows)


def _cells(seen: Seen) -> list[str]:
    times = [
        seen.first_token_ms(50),
        seen.first_token_ms(99),
        seen.per_token_ms(50),
        seen.per_token_ms(99),
        seen.refusal_ms(99),
    ]
    counts = [seen.clients, len(seen.read), len(seen.refused), seen.broken]
    return [*map(str, counts), *(f"{time:.1f}" for time in times)]
