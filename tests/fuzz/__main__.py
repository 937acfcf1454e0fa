"""`python -m tests.fuzz`: exit code 1 for a 5xx, a timeout, a violated property, an unfair share or lost memory."""

import argparse
import sys
import tempfile
from pathlib import Path

from hypothesis import strategies as st

from tests.fuzz import bodies, noisy_neighbor, openapi, raw_http, sse
from tests.fuzz.tally import Tally, check_each, table
from tests.fuzz.target import Target, strict_service

_MAX_GROWTH_MB = 24
"""For allocators and caches after the warm-up. A leak of one kilobyte for each input would be more."""


def main() -> int:
    """The warm-up sends a tenth of the inputs, so that lazy imports and caches do not count as growth."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--cases", type=int, default=20_000, help="inputs of all sources (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed generates the same inputs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, strict_service(Path(folder)) as target:
        _send(target, cases=max(200, options.cases // 10), seed=options.seed + 1)
        before = target.rss_mb
        tallies = _send(target, cases=options.cases * 6 // 10, seed=options.seed)
        after, errors = target.rss_mb, target.errors
    with tempfile.TemporaryDirectory() as folder, noisy_neighbor.service_with_two_clients(Path(folder)) as target:
        impacts = noisy_neighbor.run(target)
    tallies += _check(cases=options.cases * 4 // 10, seed=options.seed)
    print(table(tallies))
    print(f"memory of the service (RSS): {before:.1f} MB before, {after:.1f} MB after")
    for shown in [example for tally in tallies for example in tally.examples] + errors[:5]:
        print(shown)
    print(noisy_neighbor.table(impacts))
    is_clean = all(tally.is_clean for tally in tallies) and not errors and after - before < _MAX_GROWTH_MB
    return 0 if is_clean and noisy_neighbor.is_contained(impacts) else 1


def _send(target: Target, *, cases: int, seed: int) -> list[Tally]:
    return [
        openapi.run(target, cases=cases // 3, seed=seed),
        raw_http.run(target, cases=cases - cases // 3, seed=seed),
    ]


def _check(*, cases: int, seed: int) -> list[Tally]:
    streams = st.tuples(sse.STREAMS, sse.CUTS)
    return [
        check_each("SSE decoder", streams, lambda pair: sse.check_any_chunking(*pair), cases=cases * 3 // 4, seed=seed),
        check_each("request schema", bodies.REQUESTS, bodies.check_request, cases=cases // 4, seed=seed),
    ]


if __name__ == "__main__":
    sys.exit(main())
