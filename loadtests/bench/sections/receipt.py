"""How long the receipt takes."""

from loadtests.bench.contenders import ALL_OFF, ALL_ON, NGINX
from loadtests.bench.load import Load
from loadtests.bench.measure import interleaved, pooled_ms
from loadtests.bench.plan import Plan
from loadtests.bench.report import Section, Target, number
from loadtests.bench.stage import Stage

_CONTENDERS = [NGINX, ALL_OFF, ALL_ON]


def receipt(stage: Stage, plan: Plan) -> Section:
    load = Load(tokens=50, arrivals_per_s=50).lasting(plan.receipt_s)
    runs = interleaved(stage, _CONTENDERS, load, rounds=1, told="receipt")
    found = {name: [pooled_ms(each, "receipt_s", percent) for percent in (50, 99)] for name, each in runs.items()}
    return Section(
        "The receipt",
        f"From the upstream's end to `[DONE]` at the client, in ms; between them lies the row's commit, which only "
        f"“all on” has. {load.chats} chats that come and end independently of each other, 50 a second in the mean.",
        ["", "p50", "p99"],
        [
            [name, *map(number, found[name])] if name in found else [f"{name} (not installed)", "-", "-"]
            for name in _CONTENDERS
        ],
        [
            Target("receipt at 50 chats a second, p50", found[ALL_ON][0], "≤", 3, "ms"),
            Target("receipt at 50 chats a second, p99", found[ALL_ON][1], "≤", 20, "ms"),
        ],
    )
