"""locust's statistics of chats and times; progress, and what became of the objectives.

A row for each way a chat ended has as its type how that counts, one for each time has the type `time`. Times are not in
locust's total, so that "Aggregated" is the number of chats.
"""

from typing import Any

import gevent
from locust.env import Environment
from locust.runners import STATE_RUNNING, STATE_SPAWNING
from locust.stats import RequestStats

from loadtests.locust.objectives import RULES, Finding, Objectives, Side, findings, overload_findings
from loadtests.locust.shapes import SHAPES

FIRST_TOKEN = "time to first token"
CALM_FIRST_TOKEN = "time to first token, calm"
PER_TOKEN = "time per output token"
STREAM = "time of a whole stream"
REFUSAL = "time to a refusal"

_TIME = "time"
_LINES = 12
_INTERRUPTED = 130


def add_time(environment: Environment, name: str, seconds: float | None) -> None:
    if seconds is not None:
        environment.stats.get(name, _TIME).log(seconds * 1000, 0)  # type: ignore[arg-type]


def judge(stats: RequestStats, *, overload: bool) -> list[Finding]:
    def times(name: str) -> dict[float, int]:
        return {float(ms): count for ms, count in stats.get(name, _TIME).response_times.items()}

    good, bad = count(stats, Side.GOOD), count(stats, Side.BAD)
    found = findings(Objectives.of(RULES.read_text()), good, bad, times(FIRST_TOKEN), times(PER_TOKEN))
    if overload:
        calm_p95_ms = stats.get(CALM_FIRST_TOKEN, _TIME).get_response_time_percentile(0.95)
        found += overload_findings(calm_p95_ms, times(FIRST_TOKEN), times(REFUSAL))
    return found


def count(stats: RequestStats, side: Side) -> int:
    return sum(entry.num_requests for (_, kind), entry in stats.entries.items() if kind == side)


class Summary:
    """Of locust's process, or of the first of them."""

    def __init__(self, environment: Environment) -> None:
        assert environment.parsed_options is not None
        self._environment = environment
        self._options = environment.parsed_options
        self._interrupted = False
        environment.events.test_start.add_listener(lambda **_: gevent.spawn(self._progress))
        environment.events.quitting.add_listener(self._conclude)

    def interrupt(self) -> None:
        """Ctrl-C: what was measured until then is reported."""
        runner = self._environment.runner
        assert runner is not None
        self._interrupted = runner.state in (STATE_SPAWNING, STATE_RUNNING)
        self._environment.stop_timeout = 0
        runner.quit()
        if self._environment.web_ui:
            self._environment.web_ui.stop()

    def _progress(self) -> None:
        runner, stats, seconds = self._environment.runner, self._environment.stats, 0.0
        assert runner is not None
        every_s = max(1.0, float(self._options.run_time or 60) / _LINES)
        while True:
            gevent.sleep(every_s)
            if runner.state not in (STATE_SPAWNING, STATE_RUNNING):
                return
            seconds += every_s
            chats, bad = stats.total.num_requests, count(stats, Side.BAD)
            print(f"{seconds:5.0f} s  {runner.user_count:5} users  {chats:6} chats  {bad:5} bad", flush=True)

    def _conclude(self, environment: Environment, **_: Any) -> None:
        """If it raises, locust logs that and exits with another code than 0."""
        assert environment.runner is not None
        found = judge(environment.stats, overload=SHAPES[self._options.shape].calm > 0)
        failures = [
            f"{each['count']} x {each['msg']}\n{each['traceback']}" for each in environment.runner.exceptions.values()
        ]
        text = "\n".join(["Objectives", *(f"  {finding}" for finding in found), *failures])
        print(f"\n{text}\n", flush=True)
        missed = bool(failures) or not all(finding.met for finding in found)
        environment.process_exit_code = _INTERRUPTED if self._interrupted else int(missed)
