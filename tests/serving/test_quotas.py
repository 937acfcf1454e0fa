"""Quotas of API keys over two workers that share a Redis."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from app.quota.redis_store import LEASE_S
from tests.serving.conftest import StartWorkers
from tests.support import redis as redis_server
from tests.support.raw import CHAT, connect, sized
from tests.support.redis import PASSWORD, RedisServer
from tests.support.scrape import scrape, total
from tests.support.service import HELLO, PATH, Reply, SimulatedGroq, http_client
from tests.support.serving import Workers
from tests.support.waiting import wait_until

pytestmark = pytest.mark.needs("redis-server")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server.running(tmp_path) as server:
        yield server


@pytest.fixture
def start_limited(start_workers: StartWorkers, redis: RedisServer) -> StartWorkers:
    """Starts two workers with these settings."""
    shared = {"API_KEYS": "a:key-a,b:key-b", "REDIS_URL": redis.url}

    @contextmanager
    def start(**env: str) -> Iterator[Workers]:
        with start_workers(shared | env) as workers:
            yield workers
        assert PASSWORD not in workers.program.output
        assert "Traceback" not in workers.program.output

    return start


def chat(workers: Workers, key: str = "key-a") -> Reply:
    """One chat on a new connection, which either worker may accept."""
    with http_client() as client:
        response = client.post(workers.url + PATH, json=HELLO, headers={"authorization": f"Bearer {key}"})
    return Reply(response.status_code, response.headers, response.content)


@contextmanager
def open_stream(workers: Workers, key: str = "key-a") -> Iterator[httpx2.Response]:
    """A stream that has started and continues."""
    with (
        http_client(60) as client,
        client.stream("POST", workers.url + PATH, json=HELLO, headers={"authorization": f"Bearer {key}"}) as response,
    ):
        yield response


def wait_until_charged(redis: RedisServer, tokens: int) -> None:
    """A chat is charged to its key after its last event."""
    with redis.client() as client:
        wait_until(lambda: int(client.get("quota:tokens/a") or 0) >= tokens, f"{tokens} tokens are not charged")


def test_two_workers_share_the_requests_of_a_key(start_limited: StartWorkers) -> None:
    with start_limited(QUOTA_REQUESTS_PER_MINUTE="12") as workers:
        replies = [chat(workers) for _ in range(30)]
        assert [reply.status for reply in replies] == [200] * 12 + [429] * 18
        assert [int(reply.headers["x-ratelimit-remaining-requests"]) for reply in replies[:12]] == [*range(11, -1, -1)]
        refused = replies[-1]
        assert refused.error["code"] == "quota_exceeded"
        assert refused.error["type"] == "requests"
        assert 1 <= int(refused.headers["retry-after"]) <= 61
        assert refused.headers["x-ratelimit-limit-requests"] == "12"
        assert refused.headers["x-ratelimit-reset-requests"].endswith("s")
        assert chat(workers, "key-b").status == 200
        samples = scrape(workers.http, *workers.ports)
        assert total(samples, "chat_requests_total", outcome="rejected_quota") == 18
        shares = [total(scrape(workers.http, port), "chat_requests_total") for port in workers.ports]
        assert all(shares), "one worker had no request"


def test_two_workers_share_the_tokens_of_a_key(start_limited: StartWorkers, redis: RedisServer) -> None:
    with start_limited(QUOTA_TOKENS_PER_MINUTE="300") as workers:
        used, replies = 0, list[Reply]()
        while not replies or (replies[-1].status == 200 and len(replies) < 30):
            reply = chat(workers)
            replies.append(reply)
            assert int(reply.headers["x-ratelimit-remaining-tokens"]) == max(0, 300 - used)
            if reply.status == 200:
                row = workers.row(reply.id)
                used += row["prompt_tokens"] + row["completion_tokens"]
                wait_until_charged(redis, used)
        assert used >= 300
        assert replies[-1].status == 429
        assert replies[-1].error["type"] == "tokens"
        assert 1 <= int(replies[-1].headers["retry-after"]) <= 61


def test_client_that_disconnects_before_the_first_token_is_charged_its_prompt(
    start_limited: StartWorkers, groq: SimulatedGroq, redis: RedisServer
) -> None:
    """Messages and tools; otherwise a client that always disconnects would never reach its quota."""
    groq.fail({"first_byte_delay_s": 20})
    long = {**HELLO, "tools": [{"type": "function", "function": {"name": "f", "description": "tools " * 1000}}]}
    with start_limited(QUOTA_TOKENS_PER_MINUTE="1000") as workers:
        before = groq.seen()["requests"]
        with connect(workers.url) as client:
            client.sendall(CHAT + b"authorization: Bearer key-a\r\n" + sized(json.dumps(long).encode()))
            wait_until(lambda: groq.seen()["requests"] > before, "there is no request to Groq")
        groq.recover()
        wait_until_charged(redis, 1000)
        assert workers.program.wait_for('"client_disconnected"')
        refused = chat(workers)
        assert (refused.status, refused.error["type"]) == (429, "tokens")
        assert chat(workers, "key-b").status == 200


def test_stream_does_not_count_after_its_last_event(start_limited: StartWorkers) -> None:
    """A client that has read `[DONE]` may start its next stream at once, on either worker."""
    with start_limited(QUOTA_STREAMS="1") as workers:
        assert [chat(workers).status for _ in range(40)] == [200] * 40


def test_streams_of_a_killed_worker_count_until_their_leases_end(
    start_limited: StartWorkers, groq: SimulatedGroq
) -> None:
    groq.fail({"silence_s": 600, "after_tokens": 5})
    with start_limited(QUOTA_STREAMS="1", INTER_TOKEN_TIMEOUT_S="600") as workers, open_stream(workers) as stream:
        next(pieces := stream.iter_raw())
        assert chat(workers).error["type"] == "streams"
        busy = {port: total(scrape(workers.http, port), "chat_active_streams") for port in workers.ports}
        (holder,) = [port for port, streams in busy.items() if streams]
        groq.recover()
        pid = workers.pid(holder)
        workers.kill(holder, signal.SIGKILL)
        killed = time.monotonic()
        with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)):
            list(pieces)
        workers.wait_for_pid(holder, other_than=pid)
        assert chat(workers).status == 429
        while (reply := chat(workers)).status == 429:
            assert time.monotonic() - killed < 3 * LEASE_S, "the lease does not end"
            assert reply.error["type"] == "streams"
            time.sleep(0.2)
        assert reply.done
        assert time.monotonic() - killed > LEASE_S / 2


def test_chats_continue_without_redis_and_are_counted_when_it_is_back(
    start_limited: StartWorkers, redis: RedisServer
) -> None:
    with start_limited(QUOTA_REQUESTS_PER_MINUTE="5", QUOTA_TOKENS_PER_MINUTE="100000", QUOTA_STREAMS="3") as workers:
        assert [chat(workers).status for _ in range(7)] == [200] * 5 + [429] * 2
        redis.kill()
        replies = [chat(workers) for _ in range(10)]
        assert all(reply.done for reply in replies)
        assert not [name for name in replies[-1].headers if name.startswith("x-ratelimit")]
        samples = scrape(workers.http, *workers.ports)
        assert total(samples, "quota_store_failures_total", operation="enter") >= 10
        redis.start()

        def both_workers_count() -> bool:
            status = chat(workers).status
            return status == 429 and workers.program.output.count("quota_store.recovered") == 2

        wait_until(both_workers_count, "requests are not counted again")
        assert [chat(workers).status for _ in range(5)] == [429] * 5
        assert workers.program.output.count("quota_store.failed") == 2


def test_chats_are_refused_without_redis_if_quotas_fail_closed(start_limited: StartWorkers, redis: RedisServer) -> None:
    with start_limited(QUOTA_REQUESTS_PER_MINUTE="500", QUOTA_FAIL_OPEN="false") as workers:
        assert chat(workers).status == 200
        redis.kill()
        refused = chat(workers)
        assert (refused.status, refused.error["code"]) == (503, "quota_unavailable")
        assert refused.headers["retry-after"] == "1"
        redis.start()
        wait_until(lambda: chat(workers).status == 200, "chats are still refused")
