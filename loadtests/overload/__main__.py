"""`python -m loadtests.overload`: exit code 0 if those who are let in wait no more than twice as long as in calm."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from loadtests.chaos.stage import Stage, stage
from loadtests.overload.crowd import Seen, crowd
from loadtests.overload.table import table

TOKENS = 40
PACE = {"tokens_per_s": 5, "words": TOKENS, "first_token_delay_s": 0.2}
"""Answers of eight seconds, as fast as people read: what a worker can be full of without being out of breath."""

_CALM = 20
_CALM_S = 20


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="overload-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # root lends PostgreSQL to another user
        with stage(folder) as real:
            seen = asyncio.run(_measure(real, options.places, options.seconds))
    calm, *_, over = seen
    ratio = over.first_token_ms(99) / calm.first_token_ms(99)
    print(f"\n{table(seen)}\n\n  time to first token, p99: {ratio:.2f} times that of {calm.clients} clients")
    return 0 if ratio <= 2 and not any(each.broken for each in seen) else 1


async def _measure(real: Stage, places: int, seconds: float) -> list[Seen]:
    real.groq.fail(PACE)
    seen = []
    env = {"MAX_ACTIVE_STREAMS": str(places), "INTER_TOKEN_TIMEOUT_S": "15"}
    with real.service(workers=1, env=env) as workers:
        for clients, length in ((_CALM, _CALM_S), (places, _CALM_S), (3 * places, seconds)):
            print(f"{clients} clients for {length:g} s ...", flush=True)
            seen.append(await crowd(workers.url, clients=clients, seconds=length, tokens=TOKENS))
    return seen


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.overload", description="Three times too many clients.")
    parser.add_argument("--places", type=int, default=512, help="MAX_ACTIVE_STREAMS (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="of the overload (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
