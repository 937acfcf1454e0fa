"""What a run comes to: told in a line now and then, and as a table and a page when it is over."""

import sys
import traceback
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment
from locust.html import get_html_report
from locust.runners import STATE_RUNNING, STATE_SPAWNING, MasterRunner

from loadtests.bench.report import aligned
from loadtests.people import rows
from loadtests.people.objectives import RULES, Objectives, findings
from loadtests.people.report import page
from loadtests.people.shapes import SHAPES
from loadtests.people.table import busy, chats_table, findings_table
from loadtests.people.timeline import Timeline, progress

_STEPS, _LINES = 60, 12
_INTERRUPTED = 130


class Watch:
    """Of locust's process, or of the first of them."""

    def __init__(self, environment: Environment) -> None:
        assert environment.parsed_options is not None, "locust has read its options"
        self._environment = environment
        self._options = environment.parsed_options
        self._objectives = Objectives.of(RULES.read_text())
        self._timeline = Timeline()
        self._interrupted = False
        environment.events.test_start.add_listener(self._begin)
        environment.events.test_stop.add_listener(self._stop)
        environment.events.usage_monitor.add_listener(self._see_usage)
        environment.events.quitting.add_listener(self._end)

    def interrupt(self) -> None:
        """Ctrl-C: what was seen until then is told."""
        runner = self._environment.runner
        assert runner is not None, "locust runs"
        self._interrupted = runner.state in (STATE_SPAWNING, STATE_RUNNING)
        self._environment.stop_timeout = 0
        runner.quit()
        if self._environment.web_ui:
            self._environment.web_ui.stop()

    def _begin(self, **_: Any) -> None:
        self._timeline = Timeline()
        gevent.spawn(self._tell, self._timeline)

    def _tell(self, timeline: Timeline) -> None:
        seconds = float(self._options.run_time or 60)
        every = max(1, _STEPS // _LINES)
        while timeline is self._timeline and not timeline.over:
            gevent.sleep(max(1.0, seconds / _STEPS))
            step = timeline.look(self._environment)
            if len(timeline.steps) % every == 0:
                print(progress(step, self._environment.stats), flush=True)

    def _stop(self, **_: Any) -> None:
        self._timeline.over = True

    def _see_usage(self, cpu_usage: float, **_: Any) -> None:
        runner = self._environment.runner
        if isinstance(runner, MasterRunner):
            cpu_usage = max((worker.cpu_usage for worker in runner.clients.all), default=0)
        self._timeline.was_busy(cpu_usage)

    def _end(self, environment: Environment, **_: Any) -> None:
        """An exception here would be logged and forgotten, and the run pass for a good one."""
        environment.process_exit_code = 2
        try:
            environment.process_exit_code = self._conclude()
        except Exception:  # noqa: BLE001 - locust would go on
            traceback.print_exc()

    def _conclude(self) -> int:
        stats = self._environment.stats
        found = findings(self._objectives, rows.counts(stats))
        print(f"\n{aligned(*chats_table(stats))}\n\n{aligned(*findings_table(found))}\n")
        remarks = self._remarks()
        print("".join(f"{remark}\n\n" for remark in remarks), end="")
        if self._options.report:
            path = Path(self._options.report)
            path.parent.mkdir(parents=True, exist_ok=True)
            theirs = get_html_report(self._environment, show_download_link=False)
            ours = page(
                theirs,
                title=self._title(),
                about=self._options.about,
                stats=stats,
                found=found,
                timeline=self._timeline,
                promised=self._objectives,
                remarks=remarks,
            )
            path.write_text(ours)
            print(f"The report is in {path}.")
        sys.stdout.flush()
        if self._interrupted:
            return _INTERRUPTED
        return 0 if all(finding.kept for finding in found) and not self._failures() else 1

    def _title(self) -> str:
        options = self._options
        return f"{options.num_users or 1} users, {options.shape}, at {self._environment.host}"

    def _remarks(self) -> list[str]:
        remarks = [SHAPES[self._options.shape].remark, busy(self._timeline.busiest_percent), *self._failures()]
        return [remark for remark in remarks if remark]

    def _failures(self) -> list[str]:
        """Of the users' own code: nothing of theirs can be believed then."""
        assert self._environment.runner is not None, "locust runs"
        return [
            f"{each['count']} x {each['msg']}\n{each['traceback']}"
            for each in self._environment.runner.exceptions.values()
        ]
