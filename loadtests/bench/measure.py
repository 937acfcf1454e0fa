"""One run: a load on a contender, what its clients saw, and what it cost."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from loadtests.bench.clients import Crowd
from loadtests.bench.contenders import Contender, started
from loadtests.bench.honesty import Witness
from loadtests.bench.load import Load
from loadtests.bench.machine import cpu_s
from loadtests.bench.seen import Seen
from loadtests.bench.stage import Stage

_WARM_UP_S = 2


@dataclass(frozen=True)
class Run:
    """`cpu_s` is the server's; `upstream` and `clients` are the shares of the time in which they were busy."""

    seen: Seen
    cpu_s: float
    upstream: float
    clients: float

    @property
    def us_per_token(self) -> float:
        return self.cpu_s / max(1, self.seen.tokens) * 1e6

    @property
    def ms_per_chat(self) -> float:
        return self.cpu_s / max(1, len(self.seen.good)) * 1e3

    def ms(self, what: str, percent: float) -> float:
        """A percentile of one of a chat's times, in milliseconds."""
        return pooled_ms([self], what, percent)


def pooled_ms(runs: Sequence[Run], what: str, percent: float) -> float:
    """A percentile, the nearest there is, of one of the times of all chats of these runs; NaN of none."""
    values = sorted(getattr(chat, what) for run in runs for chat in run.seen.good)
    return values[round(percent / 100 * (len(values) - 1))] * 1000 if values else float("nan")


def measure(stage: Stage, contender: Contender, load: Load, watch: Callable[[], object] = lambda: None) -> Run:
    """What goes wrong is noted among the stage's problems. The server's time is taken when its last span has come."""
    witness = Witness(stage, contender)
    began, before, upstream_before = time.monotonic(), _cpu_s(contender), sum(stage.upstream.cpu_times()[:2])
    seen = Crowd(("127.0.0.1", contender.port), contender.path, load, watch).run()
    took, upstream_s = time.monotonic() - began, sum(stage.upstream.cpu_times()[:2]) - upstream_before
    witness.wait_for_spans(len(seen.chats))
    spent_s = _cpu_s(contender) - before
    if seen.errors:
        told = ", ".join(f"{count} times {error}" for error, count in seen.errors.items())
        stage.problems.append(f"{contender.name}: of {len(seen.chats)} chats ({load.text}), {told}.")
    elif problem := witness.problem(len(seen.chats)):
        stage.problems.append(f"{problem}.")
    return Run(seen, spent_s, upstream_s / took, seen.cpu_s / took)


def interleaved(
    stage: Stage, names: Sequence[str], load: Load, *, rounds: int, told: str
) -> Mapping[str, Sequence[Run]]:
    """Rounds over all contenders, so that what the machine does meanwhile strikes them alike; the first, a short one,
    is thrown away. Those that are not installed are left out.
    """
    runs: dict[str, list[Run]] = {}
    with ExitStack() as stack:
        there = [each for name in names if (each := stack.enter_context(started(stage, name)))]
        for turn in range(rounds + 1):
            for contender in there:
                stage.say(f"{told}: {contender.name}, {f'round {turn} of {rounds}' if turn else 'warm-up'} ...")
                run = measure(stage, contender, load if turn else load.lasting(_WARM_UP_S))
                if turn:
                    runs.setdefault(contender.name, []).append(run)
    return runs


def _cpu_s(contender: Contender) -> float:
    return 0.0 if contender.pid is None else cpu_s(contender.pid)
