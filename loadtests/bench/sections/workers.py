"""Two workers against one, where there are cores for them."""

from loadtests.bench.contenders import ALL_ON, started
from loadtests.bench.load import Load
from loadtests.bench.measure import Run, measure
from loadtests.bench.plan import Plan
from loadtests.bench.report import Section, number
from loadtests.bench.stage import Stage

_LOAD = Load(tokens=200, clients=200)
_WARM_UP = Load(tokens=50, clients=20, chats=100)
_TITLE = "Two workers"


def workers(stage: Stage, plan: Plan) -> Section:
    if len(stage.cores.pair) < 2:
        return Section(_TITLE, "Not measured: that takes two cores for the workers, and two more for the ends.")
    one, two = _run(stage, plan, 1), _run(stage, plan, 2)
    return Section(
        _TITLE,
        f"All on, {_LOAD.clients} streams of {_LOAD.rate:g} tokens a second, each worker on a core of its own. The "
        "length of a whole stream is told as a multiple of the upstream's.",
        ["", "tokens/s", "µs/token", "length p50", "upstream %", "clients %"],
        [_row("one worker", one), _row("two workers", two)],
    )


def _run(stage: Stage, plan: Plan, count: int) -> Run:
    stage.say(f"workers: {count} ...")
    with started(stage, ALL_ON, workers=count, cores=stage.cores.pair[:count]) as service:
        assert service is not None
        measure(stage, service, _WARM_UP)
        return measure(stage, service, _LOAD.lasting(plan.growth_s))


def _row(name: str, run: Run) -> list[str]:
    return [
        name,
        number(run.seen.tokens_per_s),
        number(run.us_per_token),
        f"{run.ms('whole_s', 50) / 1000 / _LOAD.chat_s:.3f} x",
        f"{run.upstream * 100:.0f}",
        f"{run.clients * 100:.0f}",
    ]
