"""`python -m tests.fuzz`: many inputs, one table; exits with 1 for a 5xx, a hang, a broken promise or lost memory."""

import argparse
import sys
import tempfile
from pathlib import Path

from hypothesis import strategies as st

from tests.fuzz import bodies, described, events, greedy, promises, raw
from tests.fuzz.tally import Tally, table
from tests.fuzz.target import Target, under_fire

_GROWTH_MB = 24
"""What allocators and caches may still take after the warm-up; a leak of a kilobyte an input would be more."""


def main() -> int:
    """The warm-up is the same again in small, so that what is loaded and cached once is no growth."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--cases", type=int, default=20_000, help="inputs, over all sources (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed makes the same inputs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, under_fire(Path(folder)) as target:
        _send(target, cases=max(200, options.cases // 10), seed=options.seed + 1)
        before = target.rss_mb
        tallies = _send(target, cases=options.cases * 6 // 10, seed=options.seed)
        after, bugs = target.rss_mb, target.bugs
    with tempfile.TemporaryDirectory() as folder, greedy.worker(Path(folder)) as attacked:
        beside = greedy.run(attacked)
    tallies += _check(cases=options.cases * 4 // 10, seed=options.seed)
    print(table(tallies))
    print(f"the service's memory (RSS): {before:.1f} MB before, {after:.1f} MB after")
    for shown in [example for tally in tallies for example in tally.examples] + bugs[:5]:
        print(shown)
    print(greedy.table(beside))
    is_clean = all(tally.is_clean for tally in tallies) and not bugs and after - before < _GROWTH_MB
    return 0 if is_clean and greedy.is_held(beside) else 1


def _send(target: Target, *, cases: int, seed: int) -> list[Tally]:
    return [
        described.run(target, cases=cases // 3, seed=seed),
        raw.run(target, cases=cases - cases // 3, seed=seed),
    ]


def _check(*, cases: int, seed: int) -> list[Tally]:
    streams = st.tuples(events.STREAMS, events.CUTS)
    parser = promises.run(
        "events (parser)",
        streams,
        lambda pair: events.means_the_same_however_cut(*pair),
        cases=cases * 3 // 4,
        seed=seed,
    )
    schema = promises.run(
        "bodies (schema)", bodies.REQUESTS, bodies.is_refused_or_can_travel, cases=cases // 4, seed=seed
    )
    return [parser, schema]


if __name__ == "__main__":
    sys.exit(main())
