"""Quotas over two workers that share a Redis, with keys, as callers meet them."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx2
import pytest

from app.quota.redis_store import LEASE_S
from tests.serving.conftest import ENV
from tests.support import redis as redis_server
from tests.support.http import client as http_client
from tests.support.raw import CHAT, connect, sized
from tests.support.redis import PASSWORD, RedisServer
from tests.support.scrape import scrape, total
from tests.support.service import HELLO, PATH, Reply, SimulatedGroq
from tests.support.serving import Workers, serving
from tests.support.waiting import wait_until

pytestmark = pytest.mark.needs("redis-server")

Serves = Callable[..., AbstractContextManager[Workers]]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server.running(tmp_path) as server:
        yield server


@pytest.fixture
def served(chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path, redis: RedisServer) -> Serves:
    """Starts two workers with these quotas."""
    shared = {**ENV, "GROQ_BASE_URL": groq.url, "API_KEYS": "a:key-a,b:key-b", "REDIS_URL": redis.url}

    @contextmanager
    def start(**env: str) -> Iterator[Workers]:
        with serving(tmp_path, http, shared | env, database_url=chats_database) as workers:
            yield workers
        assert PASSWORD not in workers.program.output
        assert "Traceback" not in workers.program.output

    return start


def ask(workers: Workers, key: str = "key-a") -> Reply:
    """One chat, on a connection of its own, so that either worker may have it."""
    with http_client() as client:
        response = client.post(workers.url + PATH, json=HELLO, headers={"authorization": f"Bearer {key}"})
    return Reply(response.status_code, response.headers, response.content)


@contextmanager
def holding(workers: Workers, key: str = "key-a") -> Iterator[httpx2.Response]:
    """A stream that has begun, and goes on."""
    with (
        http_client(60) as client,
        client.stream("POST", workers.url + PATH, json=HELLO, headers={"authorization": f"Bearer {key}"}) as response,
    ):
        yield response


def test_two_workers_let_in_as_many_requests_as_one_key_may_make(served: Serves) -> None:
    with served(QUOTA_REQUESTS_PER_MINUTE="12") as workers:
        replies = [ask(workers) for _ in range(30)]
        assert [reply.status for reply in replies] == [200] * 12 + [429] * 18
        assert [int(reply.headers["x-ratelimit-remaining-requests"]) for reply in replies[:12]] == [*range(11, -1, -1)]
        refused = replies[-1]
        assert refused.error["code"] == "quota_exceeded"
        assert refused.error["type"] == "requests"
        assert 1 <= int(refused.headers["retry-after"]) <= 61
        assert refused.headers["x-ratelimit-limit-requests"] == "12"
        assert refused.headers["x-ratelimit-reset-requests"].endswith("s")
        assert ask(workers, "key-b").status == 200
        samples = scrape(workers.http, *workers.ports)
        assert total(samples, "chat_requests_total", outcome="rejected_quota") == 18
        shares = [total(scrape(workers.http, port), "chat_requests_total") for port in workers.ports]
        assert all(shares), "both workers were asked"


def test_tokens_that_a_chat_used_on_one_worker_are_spent_on_both(served: Serves) -> None:
    with served(QUOTA_TOKENS_PER_MINUTE="300") as workers:
        used, replies = 0, list[Reply]()
        while not replies or (replies[-1].status == 200 and len(replies) < 30):
            reply = ask(workers)
            replies.append(reply)
            assert int(reply.headers["x-ratelimit-remaining-tokens"]) == max(0, 300 - used)
            if reply.status == 200:
                row = workers.row(reply.id)
                used += row["prompt_tokens"] + row["completion_tokens"]
                time.sleep(0.1)
        assert used >= 300
        assert replies[-1].status == 429
        assert replies[-1].error["type"] == "tokens"
        assert 1 <= int(replies[-1].headers["retry-after"]) <= 61


def test_who_leaves_before_the_first_token_has_spent_its_prompt(served: Serves, groq: SimulatedGroq) -> None:
    """Words and tools alike; otherwise nobody who always leaves would ever reach the quota."""
    groq.fail({"first_byte_delay_s": 20})
    long = {**HELLO, "tools": [{"type": "function", "function": {"name": "f", "description": "tools " * 1000}}]}
    with served(QUOTA_TOKENS_PER_MINUTE="1000") as workers:
        before = groq.seen()["requests"]
        with connect(workers.url) as client:
            client.sendall(CHAT + b"authorization: Bearer key-a\r\n" + sized(json.dumps(long).encode()))
            wait_until(lambda: groq.seen()["requests"] > before, "Groq is not asked")
        groq.recover()
        assert workers.program.wait_for('"client_disconnected"')
        time.sleep(0.5)  # until its tokens are counted
        refused = ask(workers)
        assert (refused.status, refused.error["type"]) == (429, "tokens")
        assert ask(workers, "key-b").status == 200


def test_a_client_that_asks_one_by_one_never_meets_its_own_last_stream(served: Serves) -> None:
    """Reading `[DONE]` it asks again at once, of either worker."""
    with served(QUOTA_STREAMS="1") as workers:
        assert [ask(workers).status for _ in range(40)] == [200] * 40


def test_a_worker_that_is_killed_holds_its_streams_until_their_leases_end(served: Serves, groq: SimulatedGroq) -> None:
    groq.fail({"silence_s": 600, "after_tokens": 5})
    with served(QUOTA_STREAMS="1", INTER_TOKEN_TIMEOUT_S="600") as workers, holding(workers) as stream:
        next(pieces := stream.iter_raw())
        assert ask(workers).error["type"] == "streams"
        busy = {port: total(scrape(workers.http, port), "chat_active_streams") for port in workers.ports}
        (holder,) = [port for port, streams in busy.items() if streams]
        groq.recover()
        pid = workers.pid(holder)
        workers.kill(holder, signal.SIGKILL)
        killed = time.monotonic()
        with pytest.raises((httpx2.RemoteProtocolError, httpx2.ReadError)):
            list(pieces)
        workers.wait_for_pid(holder, other_than=pid)
        assert ask(workers).status == 429
        while (reply := ask(workers)).status == 429:
            assert time.monotonic() - killed < 3 * LEASE_S, "the place is lost"
            assert reply.error["type"] == "streams"
            time.sleep(0.5)
        assert reply.done
        assert time.monotonic() - killed > LEASE_S / 2


def test_redis_that_is_killed_costs_no_chat_and_counts_again_when_it_is_back(
    served: Serves, redis: RedisServer
) -> None:
    with served(QUOTA_REQUESTS_PER_MINUTE="5", QUOTA_TOKENS_PER_MINUTE="100000", QUOTA_STREAMS="3") as workers:
        assert [ask(workers).status for _ in range(7)] == [200] * 5 + [429] * 2
        redis.kill()
        replies = [ask(workers) for _ in range(10)]
        assert all(reply.done for reply in replies)
        assert not [name for name in replies[-1].headers if name.startswith("x-ratelimit")]
        samples = scrape(workers.http, *workers.ports)
        assert total(samples, "quota_store_failures_total", operation="enter") >= 10
        redis.start()
        time.sleep(1.5)
        statuses = [ask(workers).status for _ in range(12)]
        assert statuses.count(200) in range(5, 8)  # a worker's first one may find that its connection broke
        assert statuses.count(429) >= 5
        assert workers.program.wait_for("quota_store.failed")
        assert workers.program.wait_for("quota_store.recovered")


def test_where_quotas_fail_closed_chats_wait_for_redis(served: Serves, redis: RedisServer) -> None:
    with served(QUOTA_REQUESTS_PER_MINUTE="500", QUOTA_FAIL_OPEN="false") as workers:
        assert ask(workers).status == 200
        redis.kill()
        refused = ask(workers)
        assert (refused.status, refused.error["code"]) == (503, "quota_unavailable")
        assert refused.headers["retry-after"] == "1"
        redis.start()
        wait_until(lambda: ask(workers).status == 200, "nobody is let in again")
