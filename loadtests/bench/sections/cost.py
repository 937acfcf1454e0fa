"""What a token costs."""

import statistics
from collections.abc import Mapping, Sequence

from loadtests.bench.contenders import ALL_OFF, ALL_ON, LITELLM, NGINX, PLAIN
from loadtests.bench.load import Load
from loadtests.bench.measure import Run, interleaved
from loadtests.bench.plan import Plan
from loadtests.bench.report import Section, Target, number
from loadtests.bench.stage import Stage

_CONTENDERS = [NGINX, ALL_OFF, ALL_ON, PLAIN, LITELLM]
_NAN = float("nan")


def cost(stage: Stage, plan: Plan) -> Section:
    load = Load(tokens=200, clients=50).lasting(plan.cost_s)
    runs = interleaved(stage, _CONTENDERS, load, rounds=plan.rounds, told="cost")
    middle = {name: statistics.median(run.us_per_token for run in each) for name, each in runs.items()}
    nginx = middle.get(NGINX, _NAN)
    tax = (middle[ALL_ON] / middle[ALL_OFF] - 1) * 100
    return Section(
        "Cost of a token",
        f"50 streams of 400 tokens a second, 200 tokens a chat: the median of {plan.rounds} rounds. CPU of "
        "the server's process tree in µs for each relayed token; how busy the server and both ends were, in percent.",
        ["", "µs/token", "least-most", "x nginx", "tokens/s", "server %", "upstream %", "clients %"],
        [_row(name, runs, middle.get(name, _NAN), nginx) for name in _CONTENDERS],
        [
            Target("a token, all on, against nginx (goal)", middle[ALL_ON] / nginx, "≤", 2, "x"),
            Target("a token, all on, against nginx (limit)", middle[ALL_ON] / nginx, "≤", 3, "x"),
            Target("what all signals and the row add to it", tax, "≤", 15, "%"),
        ],
    )


def _row(name: str, runs: Mapping[str, Sequence[Run]], middle: float, nginx: float) -> list[str]:
    if name not in runs:
        return [f"{name} (not installed)", *["-"] * 7]
    each = runs[name]
    costs = [run.us_per_token for run in each]
    return [
        name,
        number(middle),
        f"{number(min(costs))}-{number(max(costs))}",
        number(middle / nginx),
        number(statistics.median(run.seen.tokens_per_s for run in each)),
        *(
            f"{statistics.median(share) * 100:.0f}"
            for share in (
                [run.cpu_s / run.seen.wall_s for run in each],
                [run.upstream for run in each],
                [run.clients for run in each],
            )
        ),
    ]
