"""What is added to the time to first token."""

from collections.abc import Mapping, Sequence

from loadtests.bench.contenders import ALL_OFF, ALL_ON, DIRECT, NGINX, PLAIN
from loadtests.bench.load import Load
from loadtests.bench.measure import Run, interleaved, pooled_ms
from loadtests.bench.plan import Plan
from loadtests.bench.report import Section, Target, number
from loadtests.bench.stage import Stage

_CONTENDERS = [DIRECT, NGINX, ALL_OFF, ALL_ON, PLAIN]
_ROUNDS = 2

Figures = list[float]
"""Milliseconds: one stream p50, fifty streams p50 and p99."""


def ttft(stage: Stage, plan: Plan) -> Section:
    lone, many = Load(tokens=20, clients=1), Load(tokens=200, clients=50)
    alone = interleaved(stage, _CONTENDERS, lone.lasting(plan.lone_s), rounds=_ROUNDS, told="ttft, 1 stream")
    crowd = interleaved(stage, _CONTENDERS, many.lasting(plan.crowd_s), rounds=_ROUNDS, told="ttft, 50 streams")
    found = {name: _figures(name, alone, crowd) for name in alone}
    direct = found[DIRECT]
    added = {name: [mine - theirs for mine, theirs in zip(found[name], direct, strict=True)] for name in found}
    ours = added[ALL_ON]
    return Section(
        "Time to first token",
        "In ms, beyond what the upstream took itself. The first line is the clients straight at the upstream, "
        "the others are what each adds to it. The 50 streams begin at random times, and relay 400 tokens a "
        "second each meanwhile.",
        ["", "1 stream p50", "50 streams p50", "50 streams p99"],
        [
            [f"{name} (not installed)", *["-"] * 3] if name not in found
            else [name, *(number(each) if name == DIRECT else f"{each:+.2f}" for each in _shown(name, found, added))]
            for name in _CONTENDERS
        ],
        [
            Target("added to the first token, 1 stream, p50", ours[0], "≤", 2, "ms"),
            Target("added to the first token, 50 streams, p50", ours[1], "≤", 5, "ms"),
            Target("added to the first token, 50 streams, p99", ours[2], "≤", 25, "ms"),
        ],
    )  # fmt: skip


def _figures(name: str, alone: Mapping[str, Sequence[Run]], crowd: Mapping[str, Sequence[Run]]) -> Figures:
    asked = [(alone, 50), (crowd, 50), (crowd, 99)]
    return [pooled_ms(runs[name], "added_s", percent) for runs, percent in asked]


def _shown(name: str, found: Mapping[str, Figures], added: Mapping[str, Figures]) -> Figures:
    return found[name] if name == DIRECT else added[name]
