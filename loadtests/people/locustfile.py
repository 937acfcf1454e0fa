"""What locust loads, in a process of its own: one user, the shape, and what is said at the end.

    python -m locust -f loadtests/people/locustfile.py --headless -u 20 -t 30 -H http://127.0.0.1:8000

`make loadtest` does that, and starts a service if there is none. A key of the service is taken from API_KEY.
"""

import signal
from typing import Any

import gevent
from locust import LoadTestShape, events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests.people import rows
from loadtests.people.person import Person
from loadtests.people.shapes import SHAPES, Population
from loadtests.people.watch import Watch

__all__ = ["Crowd", "Person"]

_USUALLY_S = 60


class Crowd(LoadTestShape):
    """As many users as `--shape`, `--users` and `--run-time` say."""

    use_common_options = True

    def tick(self) -> Population | None:
        assert self.runner is not None, "locust has its runner"
        options = self.runner.environment.parsed_options
        assert options is not None, "locust has read its options"
        shape = SHAPES[options.shape]
        at_s: float = self.get_run_time()  # type: ignore[no-untyped-call]
        return shape.population(at_s, options.num_users or 1, options.run_time or _USUALLY_S)


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    parser.add_argument("--shape", choices=list(SHAPES), default="steady", help="how many users there are, when")
    parser.add_argument("--words-per-s", type=float, default=4, help="how fast they read what they are answered")
    parser.add_argument("--leavers", type=float, default=0.05, help="how many leave in the middle of an answer")
    parser.add_argument("--path", default="/api/v1/chat/stream", help="where chats are asked for")
    parser.add_argument("--prompt", default="", help="ask this and nothing else")
    parser.add_argument("--about", default="", include_in_web_ui=False, help="what the report says of the service")
    parser.add_argument("--report", default="", include_in_web_ui=False, help="the page to write at the end")


@events.init.add_listener
def begin(environment: Environment, **_: Any) -> None:
    """Before the first user."""
    rows.use_finer_times()
    if not isinstance(environment.runner, WorkerRunner):
        watch = Watch(environment)
        # In a greenlet of its own: an exception would be thrown into whichever one runs, and be told with a traceback.
        gevent.signal_handler(signal.SIGINT, watch.interrupt)
