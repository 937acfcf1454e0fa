"""The current revision and another one, measured in turn: `make bench BASE=<revision>`."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import sub, truediv

from loadtests.bench.clients import Load
from loadtests.bench.measure import Runs, measured, percentiles_ms
from loadtests.bench.sections import Plan, Section, number
from loadtests.bench.servers import ALL_OFF, ALL_ON, BASE_OFF, BASE_ON, DIRECT, NGINX, nginx
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


def compare(stage: Stage, plan: Plan, base: str) -> Section:
    """`base` is the name of the other revision."""
    run_s, floor = plan.run_s, NGINX if nginx() else DIRECT
    chat = Load(tokens=1, clients=20, first_ms=20, seconds=run_s)
    burst = Load(tokens=20, clients=50, burst_every_s=0.5, seconds=run_s)
    loads: dict[str, tuple[Load, Sequence[str]]] = {
        _TOKENS: (Load(tokens=200, clients=50, seconds=run_s), [DIRECT, BASE_OFF, ALL_OFF, BASE_ON, ALL_ON]),
        **{f"{tokens} tokens": (replace(chat, tokens=tokens), [BASE_ON, ALL_ON]) for tokens in _LENGTHS},
        _BURST: (burst, [floor, BASE_ON, ALL_ON]),
        _RECEIPT: (Load(tokens=50, arrivals_per_s=50, seconds=2 * run_s), [BASE_ON, ALL_ON]),
    }
    runs = measured(stage, loads, rounds=plan.rounds)
    rows = ratios(figures(runs, BASE_OFF, BASE_ON), figures(runs, ALL_OFF, ALL_ON))
    assert stage.base
    text = _TEXT.format(
        versions=f"{stage.current.version}, the base {stage.base.version}",
        rounds=plan.rounds,
        floor=floor if floor == NGINX else f"direct clients ({NGINX} is not installed)",
    )
    return Section(f"Relative to {base}", text, ["", "base", "current", "ratio", "least-most"], rows)


def figures(runs: Runs, off: str, on: str) -> Mapping[str, Sequence[float]]:
    """What a revision costs in each round."""
    floor = NGINX if NGINX in runs[_BURST] else DIRECT

    def times(load: str, what: str, percent: int, server: str = on) -> list[float]:
        return [percentiles_ms([run], what, percent)[0] for run in runs[load][server]]

    def added(load: str, percent: int, reference: str) -> list[float]:
        return list(map(sub, times(load, "added_s", percent), times(load, "added_s", percent, reference)))

    def chat_ms(load: str, server: str = on) -> list[float]:
        return [run.ms_per_chat for run in runs[load][server]]

    lengths = zip(*(chat_ms(f"{each} tokens") for each in _LENGTHS), strict=True)
    return {
        "CPU of a token, µs": [ms * 1000 / 200 for ms in chat_ms(_TOKENS)],
        "CPU of a chat, ms": [statistics.linear_regression(_LENGTHS, costs).intercept for costs in lengths],
        "CPU of a token, all on / all off": list(map(truediv, chat_ms(_TOKENS), chat_ms(_TOKENS, off))),
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
        each = list(map(truediv, current[name], before))
        spread = f"{number(min(each))}-{number(max(each))}"
        rows.append([name, *map(number, map(statistics.median, (before, current[name], each))), spread])
    return rows
