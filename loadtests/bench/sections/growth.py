"""How far one worker goes, and whether a token costs more where there are more of them."""

from loadtests.bench.contenders import ALL_ON, DIRECT, started
from loadtests.bench.load import Load
from loadtests.bench.measure import Run, measure
from loadtests.bench.plan import Plan
from loadtests.bench.report import Section, Target, number
from loadtests.bench.stage import Stage

_WARM_UP = Load(tokens=50, clients=20, chats=100)
_HUNDRED = Load(tokens=200, clients=100)
_LOADS = [
    Load(tokens=200, clients=10),
    Load(tokens=200, clients=50),
    _HUNDRED,
    Load(tokens=200, clients=150),
    Load(tokens=200, clients=200),
    Load(tokens=50, clients=50),
    Load(tokens=1000, clients=50),
]
_STRETCHED = 1.1

Pair = tuple[Run, Run]
"""The same load without the service, and with it."""


def growth(stage: Stage, plan: Plan) -> Section:
    found = _measure(stage, plan)
    steady = [ours.seen.tokens_per_s for direct, ours in found.values() if _stretch(direct, ours) <= _STRETCHED]
    return Section(
        "What grows",
        "All on, streams of 400 tokens a second: more of them, and longer chats. The length of a whole stream at p50 "
        "as a multiple of its length without the service, and of what the upstream intends. Where an end is near "
        "100 %, it is the end that is measured.",
        ["", "µs/token", "tokens/s", "x direct", "x intended", "server %", "upstream %", "clients %"],
        [_row(load, *pair) for load, pair in found.items()],
        [
            Target("tokens a second of one worker, streams stretched by 10 % at the most", max(steady, default=0), "≥",
                   40_000),
            Target("what 100 x 400 tokens a second are stretched by, p50", (_stretch(*found[_HUNDRED]) - 1) * 100, "≤",
                   10, "%"),
        ],
    )  # fmt: skip


def _measure(stage: Stage, plan: Plan) -> dict[Load, Pair]:
    found = {}
    with started(stage, DIRECT) as direct, started(stage, ALL_ON) as service:
        assert direct is not None
        assert service is not None
        measure(stage, service, _WARM_UP)
        for load in _LOADS:
            stage.say(f"growth: {load.clients} streams, {load.tokens} tokens a chat ...")
            lasting = load.lasting(max(plan.growth_s, 2 * load.chat_s))
            found[load] = measure(stage, direct, lasting), measure(stage, service, lasting)
    return found


def _stretch(direct: Run, ours: Run) -> float:
    return ours.ms("whole_s", 50) / direct.ms("whole_s", 50)


def _row(load: Load, direct: Run, ours: Run) -> list[str]:
    return [
        f"{load.clients} streams, {load.tokens} tokens",
        number(ours.us_per_token),
        number(ours.seen.tokens_per_s),
        f"{_stretch(direct, ours):.3f}",
        f"{ours.ms('whole_s', 50) / 1000 / load.chat_s:.3f}",
        f"{ours.cpu_s / ours.seen.wall_s * 100:.0f}",
        f"{ours.upstream * 100:.0f}",
        f"{ours.clients * 100:.0f}",
    ]
