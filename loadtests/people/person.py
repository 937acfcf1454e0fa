"""One user: asks, reads as it streams, leaves at times, thinks about it, asks again."""

import itertools
import os
import random
import time
from typing import Any

import gevent
import requests
from locust import HttpUser, task
from locust.clients import ResponseContextManager

from app.core.outcomes import Outcome
from loadtests.people import rows
from loadtests.people.answer import Answer
from loadtests.people.ending import COMPLETED, LEFT, SILENT, UNREACHED, Ending, Side, ended, refused
from loadtests.people.objectives import RULES, Objectives
from loadtests.people.prompts import ask, reading_s
from loadtests.people.shapes import SHAPES

_CONNECT_S, _SILENCE_S = 5, 60
_RETRY_AFTER_S = (1, 30)
_SOONEST_TO_LEAVE = 60  # tokens
_BAD = Objectives.of(RULES.read_text()).bad
_numbers = itertools.count()


class Person(HttpUser):
    """Its options are those of `locustfile.py`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        options = self.environment.parsed_options
        assert options is not None, "locust has read its options"
        self._options = options
        self._shape = SHAPES[options.shape]
        self._bad = _BAD - ({Outcome.REJECTED_OVERLOAD} if self._shape.refusals else set())
        self._rng = random.Random(next(_numbers))
        self._pause_s = 0.0
        key = os.environ.get("API_KEY")
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self.client.trust_env = False  # or .netrc is looked for at every request

    def on_start(self) -> None:
        """Whoever comes in the same second is made at the same moment, and is not to ask then too."""
        gevent.sleep(self._rng.random())

    def wait_time(self) -> float:
        """What was read is thought about; who was told to come back later, does."""
        return self._pause_s

    @task
    def chat(self) -> None:
        asked, answer = time.perf_counter(), Answer()
        with self.client.post(
            self._options.path,
            json=self._body(),
            headers=self._headers,
            timeout=(_CONNECT_S, _SILENCE_S),
            stream=True,
            catch_response=True,
        ) as response:
            ending = self._listen(response, answer)
            self._tell(response, answer, ending, asked)
            self._pause_s = self._pause(response, answer)

    def _body(self) -> dict[str, object]:
        if self._options.prompt:
            return {"messages": [{"role": "user", "content": self._options.prompt}], "stream": True}
        return ask(self._rng)

    def _listen(self, response: ResponseContextManager, answer: Answer) -> Ending:
        """Block by block, as they come: with None, `iter_content` waits for no more than there is."""
        if isinstance(response.error, requests.RequestException):
            return SILENT if isinstance(response.error, requests.ReadTimeout) else UNREACHED
        leaves_after = self._rng.randint(0, _SOONEST_TO_LEAVE) if self._rng.random() < self._options.leavers else None
        try:
            if response.status_code != 200:
                return refused(response.status_code, response.content)
            for block in response.iter_content(chunk_size=None):
                answer.feed(block, time.perf_counter())
                if leaves_after is not None and leaves_after <= answer.tokens and not answer.done:
                    response.close()
                    return LEFT
        except requests.ConnectionError as exc:  # what requests makes of a silence while it streams
            return SILENT if "timed out" in str(exc) else ended(answer)
        except requests.RequestException:
            pass  # it broke: what came until then tells
        return ended(answer)

    def _tell(self, response: ResponseContextManager, answer: Answer, ending: Ending, asked: float) -> None:
        took_s, side = time.perf_counter() - asked, ending.side(self._bad)
        meta: dict[str, Any] = response.request_meta  # type: ignore[assignment]
        meta.update(name=ending.name, request_type=side, response_time=took_s * 1000, response_length=answer.bytes)
        if side is Side.GOOD or ending is LEFT:
            response.success()
        else:
            response.failure(ending.name)
        if answer.first_token_at is not None:
            rows.note(self.environment, rows.FIRST_TOKEN, answer.first_token_at - asked)
            rows.note(self.environment, rows.PER_TOKEN, answer.time_per_output_token_s)
        if ending is COMPLETED:
            rows.note(self.environment, rows.STREAM, took_s)

    def _pause(self, response: ResponseContextManager, answer: Answer) -> float:
        if response.status_code != 200:
            least, most = _RETRY_AFTER_S
            told = response.headers.get("retry-after", "")
            return min(most, max(least, int(told) if told.isdecimal() else least)) + self._rng.random()
        if not self._shape.reads:
            return self._rng.uniform(0, 0.5)
        return reading_s(answer.text, self._rng, words_per_s=self._options.words_per_s)
