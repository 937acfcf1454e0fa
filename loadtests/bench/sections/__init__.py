"""The parts of the report: each is a function from the stage, and the plan, to a section."""

from collections.abc import Callable

from loadtests.bench.plan import Plan
from loadtests.bench.report import Section
from loadtests.bench.sections.cost import cost
from loadtests.bench.sections.growth import growth
from loadtests.bench.sections.per_chat import per_chat
from loadtests.bench.sections.receipt import receipt
from loadtests.bench.sections.scale import scale
from loadtests.bench.sections.start import start
from loadtests.bench.sections.ttft import ttft
from loadtests.bench.sections.workers import workers
from loadtests.bench.stage import Stage

SECTIONS: dict[str, Callable[[Stage, Plan], Section]] = {
    "cost": cost,
    "ttft": ttft,
    "receipt": receipt,
    "scale": scale,
    "growth": growth,
    "per-chat": per_chat,
    "start": start,
    "workers": workers,
}
