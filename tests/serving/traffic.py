"""Requests for chats with every outcome, sent to two workers and counted by the sender."""

import json
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

from prometheus_client.samples import Sample

from tests.serving.apps import BUGGY_MODEL
from tests.serving.outage import outbox_rows, replace_by_file
from tests.support.database import execute
from tests.support.otlp import Collector
from tests.support.raw import CHAT, connect, sized
from tests.support.scrape import scrape, total
from tests.support.service import DROP_IN, PATH, SimulatedGroq, http_client
from tests.support.serving import Workers
from tests.support.waiting import wait_until

PROMPT = "sentinel-of-a-prompt"
SECRET_KEY = "sentinel-of-a-key"
CLIENTS = 21
API_KEYS = ",".join(f"client-{number}:{SECRET_KEY}-{number}" for number in range(CLIENTS))
REQUESTS_PER_MINUTE = 8
MAX_ACTIVE_STREAMS = 3
PATHS_WITHOUT_CHATS = ("/v1/models", "/v1/models/openai/gpt-oss-20b", f"/page/chats/{UUID(int=0)}")
BODY = {"messages": [{"role": "user", "content": PROMPT}]}


class Traffic:
    """Sends each request on a connection of its own. `chats` is the number of requests for a chat."""

    def __init__(self, workers: Workers, groq: SimulatedGroq) -> None:
        self._workers = workers
        self._groq = groq
        self.chats = 0

    def chat(self, client: int = 0, *, fault: dict[str, Any] | None = None, path: str = PATH, **body: Any) -> int:
        """Returns the status of a chat that was read to its end."""
        self._groq.fail(*([fault] if fault else []))
        return self._post(f"Bearer {SECRET_KEY}-{client}", {**BODY, **body}, path)

    def all_outcomes(self, outbox: Path) -> None:
        """Every outcome but `draining`."""
        assert [self.chat(client) for client in range(4)] == [200] * 4
        assert self.chat(4, fault={"status": 503, "times": 1}) == 200
        assert self.chat(4, fault={"status": 500}) == 503
        assert self.chat(4, fault={"status": 429, "retry_after_s": 600}) == 429
        assert self.chat(5, fault={"after_tokens": 5, "ending": "truncate"}) == 200
        assert self.chat(5, fault={"after_tokens": 5, "silence_s": 30}) == 200
        assert self.chat(5, fault={"status": 400}) == 400
        assert self.chat(6, model=BUGGY_MODEL) == 500
        assert self.chat(6, messages=[]) == 400
        assert self.chat(6, messages="x" * 5_000_000) == 413
        self._unauthorized()
        self._openai_clients()
        self._disconnecting_and_stalled_clients()
        self._overload()
        assert 429 in [self.chat(0) for _ in range(3 * REQUESTS_PER_MINUTE)]
        self._failed_persistence(outbox)

    def drain(self, collector: Collector) -> list[Sample]:
        """Stops both workers while each has a stream that outlasts the drain; returns the last samples of both."""
        self._groq.fail({"tokens_per_s": 20, "words": 6000})
        collector.delay_s = 2  # the workers export their last spans meanwhile, and can still be scraped
        with ExitStack() as streams:
            for client in range(8, 20):  # clients with quota left
                streams.enter_context(self._open_stream(client))
                if all(active := self._active_streams()):
                    break
            ports = self._workers.ports
            self._workers.program.signal(signal.SIGTERM)

            def drained() -> list[Sample]:
                samples = scrape(self._workers.http, *ports)
                count = total(samples, "chat_requests_total", outcome="draining")
                return samples if count >= sum(active) else []

            samples = wait_until(drained, "the drain does not end")
        assert len([sample for sample in samples if sample.name == "chat_active_streams"]) == self._workers.count
        return samples

    def _active_streams(self) -> list[float]:
        workers = self._workers
        return [total(scrape(workers.http, port), "chat_active_streams") for port in workers.ports]

    def _unauthorized(self) -> None:
        for path in (PATH, DROP_IN):
            assert self._post("Bearer wrong", BODY, path) == 401
        with http_client(headers={"authorization": "Bearer wrong"}) as client:
            for path in PATHS_WITHOUT_CHATS:
                assert client.get(self._workers.url + path).status_code == 401

    def _openai_clients(self) -> None:
        """Without `stream`, a failure in the middle of the answer has a status."""
        truncated = {"after_tokens": 5, "ending": "truncate"}
        assert [self.chat(20, path=DROP_IN), self.chat(20, path=DROP_IN, stream=True)] == [200, 200]
        assert self.chat(20, path=DROP_IN, stream=True, fault=truncated) == 200
        assert self.chat(20, path=DROP_IN, fault=truncated) == 502
        assert self.chat(20, path=DROP_IN, model=BUGGY_MODEL) == 500
        assert self.chat(20, path=DROP_IN, messages=[]) == 400

    def _disconnecting_and_stalled_clients(self) -> None:
        self._groq.fail({"tokens_per_s": 20, "words": 600})
        self._open_stream(7).close()
        self._groq.fail({"tokens_per_s": 20_000, "words": 30_000, "times": 1})
        with self._unread_stream(7):
            assert self._workers.program.wait_for('"client_stalled"')

    def _overload(self) -> None:
        """More chats at once than both workers may have."""
        self._groq.fail({"silence_s": 0.5, "after_tokens": 5})
        clients = range(8, 8 + 4 * MAX_ACTIVE_STREAMS)
        with ThreadPoolExecutor(len(clients)) as pool:
            keys = [f"Bearer {SECRET_KEY}-{client}" for client in clients]
            assert 503 in list(pool.map(lambda key: self._post(key, BODY, PATH), keys))

    def _failed_persistence(self, outbox: Path) -> None:
        """Without the table and without the outbox, running chats fail and new ones are refused."""
        url = self._workers.database_url
        execute(url, "ALTER TABLE chat_logs RENAME TO elsewhere")
        wait_until(lambda: not outbox_rows(self._workers), "rows remain in the outbox")
        replace_by_file(outbox)
        statuses = {self.chat(client) for client in (16, 17, 18, 19, 16, 17)}
        outbox.unlink()
        execute(url, "ALTER TABLE elsewhere RENAME TO chat_logs")
        assert statuses == {200, 503}
        # Not by chats, which would use up the quota of their clients.
        wait_until(lambda: all(map(self._is_ready, self._workers.ports)), "chats are still refused")
        assert [self.chat(client) for client in (1, 2, 3)] == [200] * 3

    def _is_ready(self, port: int) -> bool:
        return total(scrape(self._workers.http, port), "chat_ready") == 1

    def _unread_stream(self, client: int) -> socket.socket:
        """A long answer to a client that reads only its beginning."""
        self.chats += 1
        reader = connect(self._workers.url, receive_buffer=4096)
        key = b"authorization: Bearer %s-%d\r\n" % (SECRET_KEY.encode(), client)
        reader.sendall(CHAT + key + sized(json.dumps(BODY).encode()))
        reader.recv(100)
        return reader

    def _open_stream(self, client: int) -> ExitStack:
        """A chat whose first bytes have arrived; closing the stack disconnects the client."""
        self.chats += 1
        stack = ExitStack()
        http = stack.enter_context(http_client())
        headers = {"authorization": f"Bearer {SECRET_KEY}-{client}"}
        response = stack.enter_context(http.stream("POST", self._workers.url + PATH, json=BODY, headers=headers))
        chunks = response.iter_raw()
        stack.callback(lambda: chunks)  # an iterator that is collected closes the connection
        next(chunks)
        return stack

    def _post(self, authorization: str, body: Any, path: str) -> int:
        self.chats += 1
        with http_client(headers={"authorization": authorization}) as client:
            return client.post(self._workers.url + path, json=body).status_code
