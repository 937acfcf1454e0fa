"""Very many streams at once, and the memory that they take."""

from loadtests.bench.contenders import ALL_ON, started
from loadtests.bench.load import Load
from loadtests.bench.machine import rss_bytes, tree
from loadtests.bench.measure import measure
from loadtests.bench.plan import Plan
from loadtests.bench.report import Section, Target, number
from loadtests.bench.stage import Stage

_RATE = 20
_RAMP_S = 8
_HELD_S = 8
_WARM_UP = Load(tokens=50, clients=20, chats=100)


def scale(stage: Stage, plan: Plan) -> Section:
    streams = plan.open_streams
    load = Load(tokens=_RATE * (_RAMP_S + _HELD_S), rate=_RATE, clients=streams, chats=streams, ramp_s=_RAMP_S)
    with started(stage, ALL_ON) as service:
        assert service is not None
        assert service.pid is not None
        measure(stage, service, _WARM_UP)
        processes = tree(service.pid)
        memory = [rss_bytes(processes)]
        stage.say(f"scale: {streams} open streams for {load.chat_s:.0f} s ...")
        run = measure(stage, service, load, lambda: memory.append(rss_bytes(processes)))
    idle, peak = memory[0], max(memory)
    each_kb = (peak - idle) / streams / 1000
    cells = map(
        number, [idle / 1e6, peak / 1e6, each_kb, run.us_per_token, run.ms("added_s", 50), run.ms("added_s", 99)]
    )
    return Section(
        f"{streams:,} open streams",
        f"All on, {_RATE} tokens a second each, begun within {_RAMP_S} s and all open together for {_HELD_S} s. Memory "
        "is that of the process tree; “added” is to the time to first token, in ms; the length of a whole stream is "
        "told as a multiple of the upstream's.",
        ["failed", "idle MB", "peak MB", "KB/stream", "µs/token", "added p50", "added p99", "length p50"],
        [[str(run.seen.errors.total()), *cells, f"{run.ms('whole_s', 50) / 1000 / load.chat_s:.3f} x"]],
        [Target("memory for each open stream", each_kb, "≤", 60, "KB")],
    )
