"""Requests, rows, lines, spans and metrics are counted apart, and agree: over two workers, with every way to end."""

import json
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from prometheus_client.samples import Sample

from app.core.outcomes import REFUSALS, WITHOUT_ROW, Outcome
from tests.serving.conftest import ENV
from tests.serving.mix import GUESSED, KEYS, SECRET_KEY, SECRET_PROMPT, Mix
from tests.serving.outage import waiting
from tests.serving.with_a_bug import MODEL as BUGGY_MODEL
from tests.support.database import execute, query
from tests.support.otlp import Collector
from tests.support.scrape import scrape, total
from tests.support.service import DROP_IN, SimulatedGroq
from tests.support.serving import Workers, serving
from tests.support.waiting import wait_until

QUOTA = 8
MAX_ACTIVE = 3


@pytest.fixture
def workers(
    chats_database: str, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path, collector: Collector
) -> Iterator[Workers]:
    env = {
        **ENV,
        "GROQ_BASE_URL": groq.url,
        "GROQ_RETRY_SLEEP_BUDGET_S": "1",
        "INTER_TOKEN_TIMEOUT_S": "2",
        "CLIENT_WRITE_TIMEOUT_S": "1",
        "API_KEYS": KEYS,
        "QUOTA_REQUESTS_PER_MINUTE": str(QUOTA),
        "MAX_ACTIVE_STREAMS": str(MAX_ACTIVE),
        **collector.env,
        "TRACE_FLUSH_TIMEOUT_S": "8",
    }
    app = "tests.serving.with_a_bug:create_app()"
    with serving(tmp_path, http, env, database_url=chats_database, app=app) as running:
        yield running


def ask_in_every_way(mix: Mix, workers: Workers, folder: Path) -> None:
    """All endings but those of a server that stops."""
    assert [mix.ask(client) for client in range(4)] == [200] * 4
    assert mix.ask(4, fault={"status": 503, "times": 1}) == 200
    assert mix.ask(4, fault={"status": 500}) == 503
    assert mix.ask(4, fault={"status": 429, "retry_after_s": 600}) == 429
    assert mix.ask(5, fault={"after_tokens": 5, "ending": "truncate"}) == 200
    assert mix.ask(5, fault={"after_tokens": 5, "silence_s": 30}) == 200
    assert mix.ask(5, fault={"status": 400}) == 400
    assert mix.ask(6, model=BUGGY_MODEL) == 500
    assert mix.ask(6, messages=[]) == 400
    assert mix.ask(6, messages="x" * 5_000_000) == 413
    assert mix.ask_without_a_key() == 401
    assert mix.guess_a_key() == [401] * len(GUESSED)
    ask_as_openai_s_clients_do(mix)
    mix.leave(7)
    with mix.blocked(7):
        assert workers.program.wait_for('"client_stalled"')
    with ThreadPoolExecutor(4 * MAX_ACTIVE) as pool:  # more at once than both workers have room for
        many = list(pool.map(lambda client: mix.ask(client, fault={"silence_s": 1}), range(8, 8 + 4 * MAX_ACTIVE)))
    assert 503 in many
    assert 429 in [mix.ask(0) for _ in range(3 * QUOTA)]
    lose_a_row(mix, workers, folder)


def ask_as_openai_s_clients_do(mix: Mix) -> None:
    """Of those that do not stream, a failure in the middle has a status."""
    assert [mix.ask(20, path=DROP_IN), mix.ask(20, path=DROP_IN, stream=True)] == [200, 200]
    assert mix.ask(20, path=DROP_IN, stream=True, fault={"after_tokens": 5, "ending": "truncate"}) == 200
    assert mix.ask(20, path=DROP_IN, fault={"after_tokens": 5, "ending": "truncate"}) == 502
    assert mix.ask(20, path=DROP_IN, model=BUGGY_MODEL) == 500
    assert mix.ask(20, path=DROP_IN, messages=[]) == 400
    assert mix.ask_without_a_key(DROP_IN) == 401


def lose_a_row(mix: Mix, workers: Workers, folder: Path) -> None:
    """The table is away, and so is the disk: what runs is not recorded, and what asks next is turned away."""
    execute(workers.database_url, "ALTER TABLE chat_logs RENAME TO elsewhere")
    wait_until(lambda: not waiting(workers), "rows wait")
    shutil.rmtree(folder)
    folder.touch()
    statuses = [mix.ask(client) for client in (16, 17, 18, 19, 16, 17)]
    folder.unlink()
    execute(workers.database_url, "ALTER TABLE elsewhere RENAME TO chat_logs")
    assert {200, 503} == set(statuses)
    wait_until(lambda: all(mix.ask(client) == 200 for client in (1, 2, 3)), "rows are not kept again")


def counts_of_a_drain(mix: Mix, workers: Workers, groq: SimulatedGroq, collector: Collector) -> list[Sample]:
    """Streams on each worker outlast the drain. A slow collector keeps the workers up for long enough to be asked."""
    groq.fail({"tokens_per_s": 5, "words": 600})  # never silent: it is the drain that ends them, not the gap's limit
    collector.delay_s = 2

    def running() -> list[float]:
        return [total(scrape(workers.http, port), "chat_active_streams") for port in workers.ports]

    with ExitStack() as stack:
        for client in range(8, 20):  # of those that have quota left
            stack.enter_context(mix.held(client))
            if all(running()):
                break
        expected, ports = sum(running()), workers.ports
        workers.program.signal(signal.SIGTERM)

        def counted() -> list[Sample]:
            samples = scrape(workers.http, *ports)
            return samples if total(samples, "chat_requests_total", outcome="draining") >= expected else []

        samples = wait_until(counted, "the drain does not end")
    assert len([sample for sample in samples if sample.name == "chat_active_streams"]) == workers.count
    return samples


def test_requests_are_rows_and_refusals_and_every_signal_says_the_same(
    workers: Workers, groq: SimulatedGroq, collector: Collector, tmp_path: Path
) -> None:
    mix = Mix(workers, groq)
    ask_in_every_way(mix, workers, tmp_path / "data" / "outbox")
    samples = counts_of_a_drain(mix, workers, groq, collector)
    assert total(samples, "chat_active_streams") == 0
    assert workers.program.wait() == 0

    counted = Counter[str]()
    for sample in samples:
        if sample.name == "chat_requests_total":
            counted[sample.labels["outcome"]] += int(sample.value)
    assert {outcome for outcome, count in counted.items() if count} == {outcome.value for outcome in Outcome}

    lines = [json.loads(line) for line in workers.program.lines]
    finished = [line for line in lines if line["event"] == "chat.finished"]
    refused = [line for line in lines if line["event"] == "chat.refused"]
    rows = query(workers.database_url, "SELECT id, outcome, trace_id, client FROM chat_logs")

    assert sum(counted.values()) == mix.asked == len(finished) + len(refused)
    without_row = sum(counted[outcome] for outcome in WITHOUT_ROW)
    assert len(rows) == mix.asked - without_row
    assert Counter(line["outcome"] for line in refused) == {outcome.value: counted[outcome] for outcome in REFUSALS}

    # A key that is none is counted wherever it is sent; where no chat was asked for, none was refused.
    guessed = [line["route"] for line in lines if line["event"] == "key.refused"]
    assert guessed == ["/v1/models", "/v1/models/{model:path}", "/page/chats/{chat_id}"]
    assert total(samples, "auth_failures_total") == len(GUESSED) + counted["rejected_unauthorized"]

    # A row, its line and its trace are of one chat.
    kept = {str(row["id"]): (row["outcome"], row["trace_id"], row["client"]) for row in rows}
    told = {line["request_id"]: (line["outcome"], line["trace_id"], line["client"]) for line in finished}
    assert {key: facts for key, facts in told.items() if facts[0] != "persistence_failed"} == kept
    traced = collector.wait_for(lambda span: "chat.id" in span.attributes, len(finished))
    assert {span.attributes["chat.id"]: span.trace_id for span in traced} == {
        key: facts[1] for key, facts in told.items()
    }
    assert Counter(span.attributes["chat.outcome"] for span in traced) == Counter(facts[0] for facts in told.values())

    drained = [span for span in traced if span.attributes["chat.outcome"] == "draining"]
    assert all("draining" in span.events and not span.failed for span in drained)

    # What people said and their keys are in the rows alone, and the keys not even there.
    scraped = "".join(map(str, samples))
    spans = "".join(map(str, collector.spans))
    for secret in (SECRET_PROMPT, SECRET_KEY, ENV["GROQ_API_KEY"], "You asked"):
        assert secret not in workers.program.output
        assert secret not in scraped
        assert secret not in spans
    assert "Failed to detach context" not in workers.program.output
    (bug,) = {line["exception"].rpartition("\n")[2] for line in finished if line["outcome"] == "internal_error"}
    assert bug == "RuntimeError: a bug"
