"""Failures of Groq by phase, its rate limits with their clock, tokens without a price."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.core.outcomes import Outcome
from app.core.upstream import Attempt, RateLimit, UpstreamRateLimited, UpstreamTimeout
from tests.observability.conftest import Observed
from tests.observability.harness import Harness
from tests.support.ports import free_port
from tests.support.scrape import scrape, total
from tests.support.service import HELLO, SimulatedGroq, service_before

FAILURES, EXHAUSTED = "chat_upstream_failures_total", "chat_retries_exhausted_total"
COMPOUND = HELLO | {"model": "groq/compound"}
MODEL = "openai/gpt-oss-20b"

Counter = Callable[..., float]


@pytest.fixture
def counted(observed: Observed) -> Counter:
    """Returns by how much a counter has risen since the test began."""
    before = scrape(observed.http, observed.metrics_port)

    def difference(name: str, **labels: str) -> float:
        after = total(scrape(observed.http, observed.metrics_port), name, **labels)
        return after - sum(each.value for each in before if each.name == name and labels.items() <= each.labels.items())

    return difference


def test_failures_before_the_first_token_are_counted_and_exhaust_the_retries(
    observed: Observed, groq: SimulatedGroq, counted: Counter
) -> None:
    groq.fail({"status": 503})
    assert observed.chat().status == 503
    assert counted(FAILURES, error_code="upstream_unavailable", phase="before_first_token") == 3
    assert counted(FAILURES) == 3
    assert counted(EXHAUSTED, reason="upstream_unavailable") == counted(EXHAUSTED) == 1


def test_successful_retry_exhausts_nothing(observed: Observed, groq: SimulatedGroq, counted: Counter) -> None:
    groq.fail({"status": 503, "times": 2})
    assert observed.chat().done
    assert counted("chat_retries_total") == 2
    assert counted(EXHAUSTED) == 0


@pytest.mark.parametrize(
    ("fault", "code"),
    [({"ending": "truncate"}, "upstream_broken"), ({"silence_s": 9}, "upstream_timeout")],
)
def test_failure_after_the_first_token_has_its_own_phase(
    observed: Observed, groq: SimulatedGroq, counted: Counter, fault: dict[str, Any], code: str
) -> None:
    groq.fail(fault | {"after_tokens": 5})
    assert observed.chat().error["code"] == code
    assert counted(FAILURES, error_code=code, phase="mid_stream") == counted(FAILURES) == 1
    assert counted(EXHAUSTED) == 0


def test_failure_to_connect_has_its_own_phase(groq_process: SimulatedGroq, tmp_path: Path) -> None:
    nobody = {"GROQ_BASE_URL": f"http://127.0.0.1:{free_port()}/v1", "GROQ_MAX_ATTEMPTS": "2", "METRICS_PORT": "0"}
    with service_before(groq_process, tmp_path, nobody) as service:
        assert service.chat().status == 502
        samples = scrape(service.http, service.own_metrics_port)
    assert total(samples, FAILURES, error_code="upstream_unreachable", phase="connect") == total(samples, FAILURES) == 2
    assert total(samples, EXHAUSTED, reason="upstream_unreachable") == 1


def test_attempt_that_the_time_limit_of_the_chat_ends_is_a_failure_of_groq(harness: Harness) -> None:
    """The only one of an answer that is not streamed."""
    timeout = UpstreamTimeout("the chat took too long")
    cancelled = Attempt("m", 1.0, headers_at=1.1, ended=1.2, error=asyncio.CancelledError())
    harness.chat(cancelled, error=timeout, outcome=Outcome.UPSTREAM_TIMEOUT)
    for phase, count in {"connect": 0, "before_first_token": 1, "mid_stream": 0}.items():
        assert harness.value(FAILURES, error_code="upstream_timeout", phase=phase) == count
    assert harness.value(EXHAUSTED, reason="upstream_timeout") == 0


def test_attempt_of_a_client_that_left_is_no_failure(harness: Harness) -> None:
    cancelled = Attempt("m", 1.0, headers_at=1.1, ended=1.2, error=asyncio.CancelledError())
    harness.chat(cancelled, outcome=Outcome.CLIENT_DISCONNECTED)
    for phase in ("connect", "before_first_token", "mid_stream"):
        assert harness.value(FAILURES, error_code="upstream_timeout", phase=phase) == 0


def test_retry_after_beyond_the_budget_exhausts_the_retries(harness: Harness) -> None:
    refused = UpstreamRateLimited("wait", retry_after=600)
    harness.chat(
        Attempt("m", 1.0, headers_at=1.1, ended=1.2, error=refused),
        error=refused,
        outcome=Outcome.UPSTREAM_RATE_LIMITED,
    )
    assert harness.value(EXHAUSTED, reason="rate_limit_exceeded") == 1


def test_rate_limits_have_the_time_of_the_answer_and_of_the_reset(observed: Observed, groq: SimulatedGroq) -> None:
    headers = {"limit-tokens": "8000", "remaining-tokens": "6000", "reset-tokens": "15s"}
    groq.fail({"rate_limit_headers": {f"x-ratelimit-{name}": value for name, value in headers.items()}})
    began = time.time()
    assert observed.chat(HELLO | {"model": MODEL}).done
    ended = time.time()
    samples = scrape(observed.http, observed.metrics_port)
    labels = {"model": MODEL, "kind": "tokens"}
    answered = total(samples, "groq_ratelimit_updated_timestamp_seconds", **labels)
    assert began <= answered <= ended
    assert total(samples, "groq_ratelimit_reset_timestamp_seconds", **labels) == pytest.approx(answered + 15)


def test_models_without_a_label_of_their_own_have_no_rate_limits(harness: Harness) -> None:
    attempt = Attempt("unknown", 1.0, headers_at=1.1, ended=1.2, rate_limits={"tokens": RateLimit(100, 70, 1.0)})
    harness.chat(attempt)
    assert not [
        family.name
        for family in harness.telemetry.metrics.registry.collect()
        if family.name.startswith("groq_ratelimit") and family.samples
    ]


def test_tokens_without_a_price_are_counted(observed: Observed, counted: Counter) -> None:
    reply = observed.chat(COMPOUND)
    row = observed.row(reply.id)
    assert row["cost_usd"] is None
    tokens = row["prompt_tokens"] + row["completion_tokens"]
    assert counted("chat_unpriced_tokens_total", model="groq/compound") == tokens > 0
    assert observed.chat(HELLO | {"model": MODEL}).done
    assert counted("chat_unpriced_tokens_total") == tokens


def test_token_usage_has_the_conventions_labels_and_no_estimates(
    observed: Observed, groq: SimulatedGroq, counted: Counter
) -> None:
    labels = {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "groq",
        "gen_ai_request_model": MODEL,
    }
    row = observed.row(observed.chat(HELLO | {"model": MODEL}).id)
    for kind, tokens in (("input", row["prompt_tokens"]), ("output", row["completion_tokens"])):
        assert counted("gen_ai_client_token_usage_sum", gen_ai_token_type=kind, **labels) == tokens
        assert counted("gen_ai_client_token_usage_count", gen_ai_token_type=kind, **labels) == 1
    groq.fail({"ending": "truncate", "after_tokens": 5})
    assert observed.row(observed.chat(HELLO | {"model": MODEL}).id)["usage_source"] == "estimated"
    assert counted("gen_ai_client_token_usage_count", gen_ai_token_type="output") == 1
