"""What a chat costs beside its tokens."""

import statistics

from loadtests.bench.contenders import ALL_OFF, ALL_ON, started
from loadtests.bench.load import Load
from loadtests.bench.measure import measure
from loadtests.bench.plan import Plan
from loadtests.bench.report import Section, Target, number
from loadtests.bench.stage import Stage

_TOKENS = [1, 100, 400]
_CLIENTS = 20
_WARM_UP = Load(tokens=100, clients=_CLIENTS, chats=100)


def per_chat(stage: Stage, plan: Plan) -> Section:
    costs = {name: _costs(stage, plan, name) for name in (ALL_OFF, ALL_ON)}
    lines = {name: statistics.linear_regression(_TOKENS, each) for name, each in costs.items()}
    return Section(
        "Cost of a chat",
        f"{_CLIENTS} streams of 400 tokens a second; CPU of the server's process tree in ms for each chat of so many "
        "tokens, and the straight line that fits best: what a chat costs, and what each token adds to it.",
        ["", *(f"{tokens} tokens" for tokens in _TOKENS), "ms/chat", "µs/token"],
        [
            [name, *map(number, costs[name]), number(line.intercept), number(line.slope * 1000)]
            for name, line in lines.items()
        ],
        [Target("a chat, beside its tokens, all on", lines[ALL_ON].intercept, "≤", 1, "ms")],
    )


def _costs(stage: Stage, plan: Plan, name: str) -> list[float]:
    """Milliseconds of each length."""
    with started(stage, name) as service:
        assert service is not None
        measure(stage, service, _WARM_UP)
        costs = []
        for tokens in _TOKENS:
            stage.say(f"per-chat: {name}, {tokens} tokens ...")
            load = Load(tokens=tokens, clients=_CLIENTS, first_ms=20).lasting(plan.per_chat_s)
            costs.append(measure(stage, service, load).ms_per_chat)
        return costs
