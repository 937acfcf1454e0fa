"""The current revision and another one, measured in turn: `make bench BASE=<revision>`."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from loadtests.bench.clients import Load
from loadtests.bench.measure import Run, percentile_ms, rounds_of
from loadtests.bench.sections import Plan, Section, number
from loadtests.bench.servers import ALL_OFF, ALL_ON, BASE_OFF, BASE_ON, DIRECT, NGINX, nginx, started
from loadtests.bench.stage import Stage

_TOKENS, _BURST, _RECEIPT = "50 streams", "50 chats at once", "receipt"
_LENGTHS = (1, 100, 400)
_TEXT = (
    "The current revision runs on {versions}. Medians of {rounds} rounds, in which the two took turns; the ratio is "
    "the median of the rounds' ratios, with the least and the greatest. CPU is that of the process tree, everything "
    "on. A token: 50 streams of 400 tokens a second, 200 tokens a chat. A chat: intercept of the line through chats of "
    "1, 100 and 400 tokens. 50 at once: the first token of 50 chats that arrive together, after that of {floor}. 50 "
    "streams: after that of direct clients. Receipt: from the upstream's end to `[DONE]`."
)

Runs = Mapping[str, Mapping[str, Sequence[Run]]]
"""By load, server and round."""


def compare(stage: Stage, plan: Plan, base: str) -> Section:
    """All servers run from the first round to the last. `base` is the name of the other revision."""
    runs = measured(stage, plan)
    rows = ratios(figures(runs, BASE_OFF, BASE_ON), figures(runs, ALL_OFF, ALL_ON))
    assert stage.base
    versions = f"{stage.current.version}, the base {stage.base.version}"
    floor = NGINX if NGINX in runs[_BURST] else f"direct clients ({NGINX} is not installed)"
    text = _TEXT.format(versions=versions, rounds=plan.rounds, floor=floor)
    return Section(f"Relative to {base}", text, ["", "base", "current", "ratio", "least-most"], rows)


def measured(stage: Stage, plan: Plan) -> Runs:
    chat = Load(tokens=1, clients=20, first_ms=20, seconds=plan.run_s)
    loads: dict[str, tuple[Load, set[str]]] = {
        _TOKENS: (
            Load(tokens=200, clients=50, seconds=plan.run_s),
            {DIRECT, NGINX, BASE_OFF, BASE_ON, ALL_OFF, ALL_ON},
        ),
        **{f"{tokens} tokens": (replace(chat, tokens=tokens), {BASE_ON, ALL_ON}) for tokens in _LENGTHS},
        _BURST: (
            Load(tokens=20, clients=50, burst_every_s=0.5, seconds=plan.run_s),
            {NGINX if nginx() else DIRECT, BASE_ON, ALL_ON},
        ),
        _RECEIPT: (Load(tokens=50, arrivals_per_s=50, seconds=2 * plan.run_s), {BASE_ON, ALL_ON}),
    }
    with started(stage, DIRECT, NGINX, BASE_OFF, ALL_OFF, BASE_ON, ALL_ON) as servers:
        rounds_of(stage, servers, Load(tokens=50, clients=50, seconds=2), rounds=1, what="warm-up")
        return {
            what: rounds_of(
                stage, [each for each in servers if each.name in names], load, rounds=plan.rounds, what=what
            )
            for what, (load, names) in loads.items()
        }


def figures(runs: Runs, off: str, on: str) -> Mapping[str, Sequence[float]]:
    """What a revision costs in each round."""
    tokens, floor = runs[_TOKENS], NGINX if NGINX in runs[_BURST] else DIRECT

    def times(load: str, what: str, percent: float, server: str = on) -> list[float]:
        return [percentile_ms([run], what, percent) for run in runs[load][server]]

    def added(load: str, percent: float, reference: str) -> list[float]:
        pairs = zip(times(load, "added_s", percent), times(load, "added_s", percent, reference), strict=True)
        return [ours - theirs for ours, theirs in pairs]

    lengths = zip(*([run.ms_per_chat for run in runs[f"{each} tokens"][on]] for each in _LENGTHS), strict=True)
    return {
        "CPU of a token, µs": [run.ms_per_chat * 1000 / 200 for run in tokens[on]],
        "CPU of a chat, ms": [statistics.linear_regression(_LENGTHS, costs).intercept for costs in lengths],
        "CPU of a token, all on / all off": [
            a.ms_per_chat / b.ms_per_chat for a, b in zip(tokens[on], tokens[off], strict=True)
        ],
        "first token, 50 at once, p50, ms": added(_BURST, 50, floor),
        "first token, 50 streams, p50, ms": added(_TOKENS, 50, DIRECT),
        "first token, 50 streams, p99, ms": added(_TOKENS, 99, DIRECT),
        "receipt, p50, ms": times(_RECEIPT, "receipt_s", 50),
        "receipt, p99, ms": times(_RECEIPT, "receipt_s", 99),
    }


def ratios(base: Mapping[str, Sequence[float]], current: Mapping[str, Sequence[float]]) -> list[list[str]]:
    """A row for each figure."""
    rows = []
    for name, before in base.items():
        each = [new / old for new, old in zip(current[name], before, strict=True)]
        spread = f"{number(min(each))}-{number(max(each))}"
        rows.append([name, *map(number, map(statistics.median, (before, current[name], each))), spread])
    return rows
