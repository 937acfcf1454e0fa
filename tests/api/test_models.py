"""Default, retired and missing models."""

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
def mapped_process(groq_process: SimulatedGroq, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose default model is retired."""
    folder = tmp_path_factory.mktemp("mapped")
    with service_before(groq_process, folder, {"GROQ_DEFAULT_MODEL": "llama-3.3-70b-versatile"}) as running:
        yield running


@pytest.fixture
def mapped(mapped_process: Service, groq: SimulatedGroq) -> Service:
    """The service, with a Groq without faults."""
    return mapped_process


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
def test_retired_model_is_mapped_to_its_successor_in_header_row_and_log(
    mapped: Service, requested: str | None, model: str, path: str
) -> None:
    reply = mapped.chat({**HELLO, "model": requested} if requested else HELLO, path=path)
    assert reply.status == 200
    assert reply.headers["x-model-mapped-to"] == model
    row, line = mapped.row(reply.id), mapped.finished_line(reply.id)
    for stored in (row, line):
        assert (stored["requested_model"], stored["model_name"]) == (requested or "llama-3.3-70b-versatile", model)


def test_mapped_default_model_is_logged_once_at_startup(mapped: Service) -> None:
    (line,) = [json.loads(line) for line in mapped.program.lines if '"model.mapped"' in line]
    assert (line["level"], line["setting"], line["model"]) == ("warning", "GROQ_DEFAULT_MODEL", LARGE)


def test_page_has_the_successor_of_a_mapped_default(mapped: Service) -> None:
    about = mapped.http.get(f"{mapped.url}/page/about").json()
    assert about["model"] == LARGE
    assert LARGE in about["models"]


def test_current_model_has_no_mapping_header(mapped: Service) -> None:
    assert "x-model-mapped-to" not in mapped.chat({**HELLO, "model": SMALL}).headers


def test_error_of_a_mapped_model_has_the_mapping_header(mapped: Service, groq: SimulatedGroq) -> None:
    groq.fail({"status": 400})
    reply = mapped.chat()
    assert (reply.status, reply.headers["x-model-mapped-to"]) == (400, LARGE)


def test_mapping_can_be_disabled(groq: SimulatedGroq, tmp_path: Path) -> None:
    """Enterprise accounts still have the old models."""
    with start(groq, tmp_path, GROQ_MODEL_ALIASES="{}", GROQ_DEFAULT_MODEL="llama-3.3-70b-versatile") as service:
        reply = service.chat()
        assert (reply.status, reply.error["code"]) == (502, "upstream_model_gone")
        assert "x-model-mapped-to" not in reply.headers
        assert service.program.wait_for('"model.not_served"')


def test_missing_configured_model_is_a_502_and_a_missing_requested_model_a_404(
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


def test_fallback_answers_for_a_missing_default_model(groq: SimulatedGroq, tmp_path: Path) -> None:
    with start(groq, tmp_path, GROQ_DEFAULT_MODEL="meta/gone", GROQ_FALLBACK_MODEL=LARGE) as service:
        for path in ("/api/v1/chat/stream", DROP_IN):
            reply = service.chat(path=path)
            assert reply.status == 200
            row = service.row(reply.id)
            assert (row["requested_model"], row["model_name"], row["attempts"]) == ("meta/gone", LARGE, 2)
        samples = scrape(service.http, service.own_metrics_port)
        assert total(samples, "chat_retries_total", reason="upstream_model_gone") == 2
        assert "telemetry.failed" not in service.program.output


def test_model_of_the_catalogue_gets_its_own_label_when_used(mapped: Service, groq: SimulatedGroq) -> None:
    port = mapped.own_metrics_port
    qwen = "qwen/qwen3.6-27b"
    before = total(scrape(mapped.http, port), "chat_requests_total", model="other")
    assert mapped.chat({**HELLO, "model": qwen}).done
    assert mapped.chat({**HELLO, "model": "no-such-model"}).status == 404

    def counted() -> bool:
        return total(scrape(mapped.http, port), "chat_requests_total", model=qwen, outcome="completed") == 1

    wait_until(counted, "no series of its own", 5)
    assert total(scrape(mapped.http, port), "chat_requests_total", model="other") == before + 1
