"""The metrics of a worker, as Prometheus reads them."""

import secrets

from prometheus_client.samples import Sample

from app.core.config import Settings
from app.core.outcomes import Outcome
from app.core.upstream import Attempt, RateLimit
from app.observability.conventions import ATTEMPT_RESULTS, CLIENT_REFUSALS
from app.observability.metrics import Metrics
from app.observability.telemetry import Telemetry
from tests.observability.conftest import Observed
from tests.support.records import record
from tests.support.scrape import scrape, total
from tests.support.service import HELLO, PATH, SimulatedGroq
from tests.support.waiting import wait_until

MAX_SERIES = 2000


def series(samples: list[Sample]) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    return {(sample.name, frozenset(sample.labels.items())) for sample in samples}


def test_requests_cannot_add_series(observed: Observed, groq: SimulatedGroq) -> None:
    """Made-up models, paths, methods, clients and endings leave the number of series as it was."""
    groq.fail({"status": 503, "times": 1})
    assert observed.chat().done
    observed.chat({**HELLO, "model": "made-up"})
    observed.chat({**HELLO, "made-up": 1})  # Groq refuses it
    before = series(scrape(observed.http, observed.metrics_port))
    for number in range(30):
        made_up = secrets.token_hex(4)
        observed.chat({**HELLO, "model": f"made-up-{made_up}"}, headers={"x-request-id": made_up})
        observed.chat({**HELLO, "user": made_up, made_up: number})
        observed.http.request(f"M{number}", f"{observed.url}/{made_up}")
        observed.http.get(f"{observed.url}{PATH}/{made_up}?{made_up}={made_up}")
    after = series(scrape(observed.http, observed.metrics_port))
    assert after == before
    assert len(after) < MAX_SERIES


def test_worker_with_every_model_client_and_outcome_has_few_series() -> None:
    """More models and clients than have labels of their own, each with every outcome, limit and failure."""
    metrics = Metrics(
        models=[f"model-{number}" for number in range(30)],
        info={"version": "1"},
        workers=1,
        clients=[f"client-{number}" for number in range(100)],
        quotas=[("requests", 1), ("tokens", 1), ("streams", 1)],
    )
    limits = {kind: RateLimit(100, 70, 1.0) for kind in ("requests", "tokens")}
    for number in range(100):
        model, client = f"model-{number}", f"client-{number}"
        for outcome in Outcome:
            metrics.chat_refused(outcome, model=model, client=client, has_key=outcome in CLIENT_REFUSALS)
            metrics.chat_finished(record(model_name=model, client=client, outcome=outcome), exemplar=None)
        metrics.attempted(Attempt(model, 1.0, headers_at=1.1, ended=1.2, rate_limits=limits), before=None)
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    assert total(samples, "chat_client_requests_total", client="other") > 0
    assert total(samples, "groq_ratelimit_limit", model="model-0", kind="tokens") == 100
    assert len(series(samples)) < MAX_SERIES


def test_models_of_the_settings_have_labels_of_their_own_whatever_clients_may_use() -> None:
    names = tuple(f"a-{number}" for number in range(20))
    settings = Settings(
        _env_file=None, groq_api_key="key", groq_default_model="z", groq_model_aliases={}, allowed_models=(*names, "z")
    )
    metrics = Telemetry(settings).metrics
    assert [metrics.model(name) for name in ("z", "a-0", "a-19")] == ["z", "a-0", "other"]


def test_series_exist_from_the_start() -> None:
    """So that `rate()` sees the first error too. Groq's limits are unknown before its first answer."""
    metrics = Metrics(models=Settings(_env_file=None).model_prices, info={"version": "1"}, workers=1)
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    for outcome in Outcome:
        assert total(samples, "chat_requests_total", outcome=outcome, model="other") == 0
    for result in ATTEMPT_RESULTS:
        assert total(samples, "chat_upstream_attempts_total", result=result) == 0
    assert not [sample for sample in samples if sample.name.startswith("groq_ratelimit")]
    assert not [sample for sample in samples if sample.name.endswith("_created")]


def test_scrape_has_exemplars_and_process_metrics(observed: Observed) -> None:
    reply = observed.chat()
    samples = scrape(observed.http, observed.metrics_port)
    exemplars = [sample.exemplar for sample in samples if sample.exemplar]
    trace_id = reply.headers["traceresponse"].split("-")[1]
    assert trace_id in {exemplar.labels["trace_id"] for exemplar in exemplars}
    assert total(samples, "process_resident_memory_bytes") > 0
    assert total(samples, "event_loop_lag_seconds_count") > 0
    assert total(samples, "db_pool_connections", state="idle") > 0
    assert total(samples, "app_info", environment="development") == 1


def test_active_streams_return_to_zero(observed: Observed, groq: SimulatedGroq) -> None:
    groq.fail({"tokens_per_s": 5, "words": 600})

    def active() -> float:
        return total(scrape(observed.http, observed.metrics_port), "chat_active_streams")

    with observed.http.stream("POST", observed.url + PATH, json=HELLO) as response:
        pieces = response.iter_raw()
        next(pieces)
        assert active() == 1
    wait_until(lambda: active() == 0, "a stream is still active")
