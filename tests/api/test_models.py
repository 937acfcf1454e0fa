"""Which model answers: defaults, retired ids, models that are gone, and what the caller sees of it."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.scrape import scrape, total
from tests.support.service import DROP_IN, HELLO, Service, SimulatedGroq, service_before
from tests.support.waiting import wait_until

SMALL, LARGE = "openai/gpt-oss-20b", "openai/gpt-oss-120b"


@pytest.fixture(scope="module")
def brief_process(groq_process: SimulatedGroq, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With the model of the brief's `.env`."""
    folder = tmp_path_factory.mktemp("brief")
    with service_before(groq_process, folder, {"GROQ_DEFAULT_MODEL": "llama-3.3-70b-versatile"}) as running:
        yield running


@pytest.fixture
def brief(brief_process: Service, groq: SimulatedGroq) -> Service:
    """With a Groq that works."""
    return brief_process


def start(groq: SimulatedGroq, folder: Path, **settings: str) -> AbstractContextManager[Service]:
    return service_before(groq, folder, settings)


@pytest.mark.parametrize(
    ("requested", "model"),
    [
        (None, LARGE),
        ("llama-3.3-70b-versatile", LARGE),
        ("llama-3.1-8b-instant", SMALL),
        ("llama-3.3-8b-instant", SMALL),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/chat/stream", DROP_IN])
def test_a_retired_id_is_answered_by_its_successor_and_visibly_so(
    brief: Service, requested: str | None, model: str, path: str
) -> None:
    reply = brief.chat({**HELLO, "model": requested} if requested else HELLO, path=path)
    assert reply.status == 200
    assert reply.headers["x-model-mapped-to"] == model
    row, line = brief.row(reply.id), brief.finished_line(reply.id)
    for stored in (row, line):
        assert (stored["requested_model"], stored["model_name"]) == (requested or "llama-3.3-70b-versatile", model)


def test_the_start_says_once_that_the_default_is_mapped(brief: Service) -> None:
    (line,) = [json.loads(line) for line in brief.program.lines if '"model.mapped"' in line]
    assert (line["level"], line["setting"], line["model"]) == ("warning", "GROQ_DEFAULT_MODEL", LARGE)


def test_a_model_that_is_no_alias_has_no_header(brief: Service) -> None:
    assert "x-model-mapped-to" not in brief.chat({**HELLO, "model": SMALL}).headers


def test_a_refusal_of_a_mapped_model_says_so_too(brief: Service, groq: SimulatedGroq) -> None:
    groq.fail({"status": 400})
    reply = brief.chat()
    assert (reply.status, reply.headers["x-model-mapped-to"]) == (400, LARGE)


def test_the_mapping_can_be_switched_off(groq: SimulatedGroq, tmp_path: Path) -> None:
    """For enterprise accounts, which still have the old models."""
    with start(groq, tmp_path, GROQ_MODEL_ALIASES="{}", GROQ_DEFAULT_MODEL="llama-3.3-70b-versatile") as service:
        reply = service.chat()
        assert (reply.status, reply.error["code"]) == (502, "upstream_model_gone")
        assert "x-model-mapped-to" not in reply.headers
        assert service.program.wait_for('"model.not_served"')


def test_a_configured_model_that_is_gone_is_our_failure_and_a_caller_s_own_is_not(
    groq: SimulatedGroq, tmp_path: Path
) -> None:
    with start(groq, tmp_path, GROQ_DEFAULT_MODEL="meta/gone") as service:
        ours = service.chat()
        assert (ours.status, ours.error["code"]) == (502, "upstream_model_gone")
        row = service.row(ours.id)
        assert (row["outcome"], row["error_code"], row["attempts"]) == ("upstream_error", "upstream_model_gone", 1)
        theirs = service.chat({**HELLO, "model": "no-such-model"})
        assert (theirs.status, theirs.error["code"]) == (404, "model_not_found")
        assert service.row(theirs.id)["outcome"] == "upstream_rejected"
        assert service.program.wait_for('"model.not_served"')
        samples = scrape(service.http, service.own_metrics_port)
        assert total(samples, "groq_models_missing") == 1
        assert total(samples, "chat_upstream_attempts_total", result="upstream_model_gone") == 1
        assert total(samples, "chat_requests_total", outcome="upstream_error") == 1


def test_the_fallback_answers_for_a_model_that_is_gone(groq: SimulatedGroq, tmp_path: Path) -> None:
    with start(groq, tmp_path, GROQ_DEFAULT_MODEL="meta/gone", GROQ_FALLBACK_MODEL=LARGE) as service:
        for path in ("/api/v1/chat/stream", DROP_IN):
            reply = service.chat(path=path)
            assert reply.status == 200
            row = service.row(reply.id)
            assert (row["requested_model"], row["model_name"], row["attempts"]) == ("meta/gone", LARGE, 2)


def test_a_model_of_the_catalogue_gets_its_own_label_once_it_is_used(brief: Service, groq: SimulatedGroq) -> None:
    port = brief.own_metrics_port
    qwen = "qwen/qwen3.6-27b"
    before = total(scrape(brief.http, port), "chat_requests_total", model="other")
    assert brief.chat({**HELLO, "model": qwen}).done
    assert brief.chat({**HELLO, "model": "no-such-model"}).status == 404

    def counted() -> bool:
        return total(scrape(brief.http, port), "chat_requests_total", model=qwen, outcome="completed") == 1

    wait_until(counted, "no series of its own", 5)
    assert total(scrape(brief.http, port), "chat_requests_total", model="other") == before + 1


def test_cached_input_is_paid_at_its_own_price(brief: Service) -> None:
    """End to end: Groq's count of cached tokens, and the price of its catalogue."""
    long = {"messages": [{"role": "user", "content": "word " * 2000}], "model": SMALL}
    brief.chat(long)
    row = brief.row(brief.chat(long).id)
    assert row["cached_tokens"] > 0
    fresh = row["prompt_tokens"] - row["cached_tokens"]
    dollars = fresh * 0.075 + row["cached_tokens"] * 0.0375 + row["completion_tokens"] * 0.30
    assert float(row["cost_usd"]) == pytest.approx(dollars / 1e6, abs=1e-9)
