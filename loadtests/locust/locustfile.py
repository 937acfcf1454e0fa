"""What locust loads, in a process of its own: one kind of user, the shapes, options.

    python -m locust -f loadtests/locust/locustfile.py --headless -u 20 -t 30 -H http://127.0.0.1:8000

`make loadtest` does that, and starts a service unless there is one. A key of the service is taken from API_KEY.
"""

import itertools
import math
import os
import random
import signal
import time
from typing import Any, ClassVar

import gevent
import requests
from locust import HttpUser, LoadTestShape, events, stats, task
from locust.argument_parser import LocustArgumentParser
from locust.clients import ResponseContextManager as Response
from locust.env import Environment
from locust.runners import WorkerRunner

from app.core.outcomes import Outcome
from loadtests.harness.answer import Answer
from loadtests.locust import summary
from loadtests.locust.objectives import LEFT, RULES, SILENT, UNREACHED, Ending, Objectives, Side, ended, refused, side
from loadtests.locust.shapes import SHAPES, Population

_DEFAULT_S = 60
_CONNECT_S, _SILENCE_S = 5, 60
_RETRY_AFTER_S = (1, 30)
_LEAVES_WITHIN = 60  # tokens
_LONGEST_READING_S = 60
_PATH = "/api/v1/chat/stream"
_QUESTION = "Why is the sky blue? Please give me the reasons, not only the answer. "
_REPEATS = ((1, 1), (5, 20), (100, 300))
"""How often it is in a prompt: a line, a paragraph, several pages."""
_WEIGHTS = (65, 25, 10)
_BAD = Objectives.of(RULES.read_text()).bad
_numbers = itertools.count()

stats.bucket_response_time = math.ceil  # type: ignore[assignment] # two digits would count 1,040 ms as within 1 s


class ChatUser(HttpUser):
    """Its options are those of `locustfile.py`. `began` is when the test started, on `time.monotonic`'s clock."""

    began: ClassVar[float] = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        options = self.environment.parsed_options
        assert options is not None
        self._options = options
        self._shape = SHAPES[options.shape]
        self._bad = _BAD - ({Outcome.REJECTED_OVERLOAD} if self._shape.calm else set())
        self._rng = random.Random(next(_numbers))
        self._pause_s = 0.0
        key = os.environ.get("API_KEY")
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self.client.trust_env = False  # or requests looks for ~/.netrc each time

    def on_start(self) -> None:
        """Locust starts all users of a second at once."""
        gevent.sleep(self._rng.random())

    def wait_time(self) -> float:
        """Until the answer is read, or a refusal's Retry-After has passed."""
        return self._pause_s

    @task
    def chat(self) -> None:
        started, answer = time.perf_counter(), Answer()
        calm = time.monotonic() - self.began < self._shape.calm * (self._options.run_time or _DEFAULT_S)
        with self.client.post(
            _PATH,
            json=self._body(),
            headers=self._headers,
            timeout=(_CONNECT_S, _SILENCE_S),
            stream=True,
            catch_response=True,
        ) as response:
            name, outcome = self._read(response, answer)
            self._record(response, answer, name, outcome, started, calm=calm)
            self._pause_s = self._pause(response, answer)

    def _body(self) -> dict[str, object]:
        [repeats] = self._rng.choices(_REPEATS, weights=_WEIGHTS) if self._shape.reads else _REPEATS[:1]
        prompt = _QUESTION * self._rng.randint(*repeats)
        return {"messages": [{"role": "user", "content": prompt}], "stream": True}

    def _read(self, response: Response, answer: Answer) -> Ending:
        """Block by block, as they come: with None, `iter_content` does not wait for more than there is."""
        if isinstance(response.error, requests.RequestException):
            return SILENT if isinstance(response.error, requests.ReadTimeout) else UNREACHED
        leaves_after = self._rng.randint(0, _LEAVES_WITHIN) if self._rng.random() < self._options.leavers else None
        try:
            if response.status_code != 200:
                return refused(response.status_code, response.content, response.headers.get("retry-after"))
            for block in response.iter_content(chunk_size=None):
                answer.feed(block, time.perf_counter())
                if leaves_after is not None and leaves_after <= answer.tokens and not answer.done:
                    response.close()
                    return LEFT
        except requests.ConnectionError as exc:  # what requests makes of a timeout in a stream
            return SILENT if "timed out" in str(exc) else ended(answer)
        except requests.RequestException:
            pass  # it broke: what came until then decides
        return ended(answer)

    def _record(
        self, response: Response, answer: Answer, name: str, outcome: Outcome | None, started: float, *, calm: bool
    ) -> None:
        took_s, counts_as = time.perf_counter() - started, side(outcome, self._bad)
        meta: dict[str, Any] = response.request_meta  # type: ignore[assignment]
        meta.update(name=name, request_type=counts_as, response_time=took_s * 1000, response_length=answer.bytes)
        if counts_as is not Side.BAD:
            response.success()
        else:
            response.failure(name)
        if answer.first_token_at is not None:
            first_token = summary.CALM_FIRST_TOKEN if calm else summary.FIRST_TOKEN
            summary.add_time(self.environment, first_token, answer.first_token_at - started)
            summary.add_time(self.environment, summary.PER_TOKEN, answer.time_per_output_token_s)
        if outcome in (Outcome.COMPLETED, Outcome.REJECTED_OVERLOAD):
            whole = summary.STREAM if outcome is Outcome.COMPLETED else summary.REFUSAL
            summary.add_time(self.environment, whole, took_s)

    def _pause(self, response: Response, answer: Answer) -> float:
        if response.status_code != 200:
            least, most = _RETRY_AFTER_S
            seconds = response.headers.get("retry-after", "")
            return min(most, max(least, int(seconds) if seconds.isdecimal() else least)) + self._rng.random()
        if not self._shape.reads:
            return self._rng.uniform(0, 0.5)
        words = len(answer.text.split()) * self._rng.triangular(0.1, 1.2, 0.5)  # most users skim
        return 0.2 + min(_LONGEST_READING_S, words / float(self._options.words_per_s))


class Users(LoadTestShape):
    """As many users as `--shape`, `--users` and `--run-time` say."""

    use_common_options = True

    def tick(self) -> Population | None:
        assert self.runner is not None
        options = self.runner.environment.parsed_options
        assert options is not None
        at_s: float = self.get_run_time()  # type: ignore[no-untyped-call]
        seconds = options.run_time or _DEFAULT_S
        return None if at_s >= seconds else SHAPES[options.shape].at(at_s, options.num_users or 1, seconds)


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    parser.add_argument("--shape", choices=list(SHAPES), default="steady", help="number of users over time")
    parser.add_argument("--words-per-s", type=float, default=4, help="reading speed of users")
    parser.add_argument("--leavers", type=float, default=0.05, help="share of users who disconnect during an answer")


@events.init.add_listener
def begin(environment: Environment, **_: Any) -> None:
    """Before the first user."""
    if not isinstance(environment.runner, WorkerRunner):
        interrupt = summary.Summary(environment).interrupt
        gevent.signal_handler(signal.SIGINT, interrupt)  # an exception would be raised in whichever greenlet runs


@events.test_start.add_listener
def note_start(**_: Any) -> None:
    ChatUser.began = time.monotonic()
