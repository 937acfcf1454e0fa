"""The compose stack's Prometheus, Alertmanager, Jaeger and Grafana match their configuration."""

import re
from pathlib import Path

import pytest

from tests.deploy.compose import (
    SERVICES,
    address,
    environment,
    jaeger_ports,
    listeners,
    mounts,
    published,
    read,
    scraped,
)
from tests.support.processes import PROJECT


@pytest.mark.parametrize("name", ["app", "migrate", "simulator", "db"])
def test_service_does_not_depend_on_telemetry(name: str) -> None:
    """Nor do the containers on which it depends."""
    assert SERVICES[name].get("depends_on", {}).keys() <= {"migrate", "simulator", "db"}


def test_prometheus_scrapes_all_workers_on_unpublished_ports() -> None:
    """Twice as many ports as workers, because a reload runs old and new workers together."""
    env = environment("app")
    first, workers = int(env["METRICS_PORT"]), int(env["WEB_CONCURRENCY"])
    ports = set(range(first, first + 2 * workers))
    assert scraped("chat") == {("app", port) for port in ports}
    assert env["METRICS_HOST"] == "0.0.0.0"
    assert not ports & published("app")


def test_prometheus_retains_the_longest_range_of_the_rules() -> None:
    """30 days for the error budget; exemplars for links from graphs to traces."""
    flags = SERVICES["prometheus"]["command"]
    [retention] = [
        int(days) for flag in flags for days in re.findall(r"^--storage\.tsdb\.retention\.time=(\d+)d$", flag)
    ]
    rules = "".join(path.read_text() for path in (PROJECT / "deploy/prometheus/rules").glob("*.yml"))
    assert retention >= max(int(days) for days in re.findall(r"\[(\d+)d[]:]", rules))
    assert "--enable-feature=exemplar-storage" in flags


def test_prometheus_sends_alerts_to_alertmanager() -> None:
    [alertmanagers] = read("deploy/prometheus/prometheus.yml")["alerting"]["alertmanagers"]
    targets = {address(target) for each in alertmanagers["static_configs"] for target in each["targets"]}
    assert targets == {("alertmanager", port) for port in published("alertmanager")} == scraped("alertmanager")
    for name in ("prometheus", "alertmanager"):  # links in notifications
        [url] = [flag.partition("=")[2] for flag in SERVICES[name]["command"] if "web.external-url" in flag]
        assert url in {f"http://{port.rsplit(':', 1)[0]}" for port in SERVICES[name]["ports"]}


def test_otlp_endpoint_is_jaegers() -> None:
    assert address(environment("app")["OTEL_EXPORTER_OTLP_ENDPOINT"]) == ("jaeger", jaeger_ports()["otlp"])


def test_jaegers_ports_match_its_configuration() -> None:
    """The page, health check, its own metrics and span metrics; and its metrics storage is Prometheus."""
    ports = jaeger_ports()
    assert published("jaeger") == {ports["page"]}
    assert address(SERVICES["jaeger"]["healthcheck"]["test"][-1])[1] == ports["health"]
    assert scraped("jaeger") == {("jaeger", ports["own"]), ("jaeger", ports["spans"])}
    storage = read("deploy/jaeger/config.yaml")["extensions"]["jaeger_storage"]
    assert address(storage["metric_backends"]["spans"]["prometheus"]["endpoint"]) in listeners()
    assert storage["backends"]["recent"]["memory"]["max_traces"] > 0


def test_grafanas_home_dashboard_exists() -> None:
    home = Path(environment("grafana")["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (PROJECT / mounts("grafana")[str(home.parent)] / home.name).is_file()


def test_grafanas_data_sources_are_services_of_the_stack() -> None:
    path = "deploy/grafana/provisioning/datasources/datasources.yml"
    sources = read(path)["datasources"]
    assert len(sources) == 3
    assert {address(source["url"]) for source in sources} <= listeners()
    assert set(re.findall(r"\$\{?([A-Z_]{3,})", (PROJECT / path).read_text())) <= environment("grafana").keys()
    assert environment("grafana")["CHAT_READER_PASSWORD"] == environment("reader")["CHAT_READER_PASSWORD"]
