"""docker-compose.yml is valid, publishes ports on loopback only, and matches the mounted configuration."""

import re
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

from tests.support.processes import PROJECT


def read(path: str) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(PROJECT / path)
    return loaded


SERVICES: dict[str, dict[str, Any]] = read("docker-compose.yml")["services"]
LONG_RUNNING = {name: service for name, service in SERVICES.items() if service.get("restart") != "no"}


def environment(service: str) -> dict[str, str]:
    """The environment, with the default of each `${NAME:-default}`."""
    values = SERVICES[service].get("environment", {})
    return {name: re.sub(r"\$\{\w+:-([^}]*)}", r"\1", str(value)) for name, value in values.items()}


def published(service: str) -> set[int]:
    """The container ports that are published on the host."""
    return {int(port.rsplit(":", 1)[1]) for port in SERVICES[service].get("ports", [])}


def mounts(service: str) -> dict[str, str]:
    """{path in the container: folder or volume}."""
    split = (volume.split(":") for volume in SERVICES[service].get("volumes", []))
    return {parts[1]: parts[0] for parts in split}


def listeners() -> set[tuple[str, int]]:
    return {(name, port) for name in SERVICES for port in published(name)} | {("db", 5432)}


def address(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url if "//" in url else f"//{url}")
    return parts.hostname, parts.port


def jaeger_ports() -> dict[str, int | None]:
    config = read("deploy/jaeger/config.yaml")
    [reader] = config["service"]["telemetry"]["metrics"]["readers"]
    own = reader["pull"]["exporter"]["prometheus"]
    otlp = config["receivers"]["otlp"]["protocols"]
    endpoints = {
        "otlp": otlp["http"]["endpoint"],
        "page": config["extensions"]["jaeger_query"]["http"]["endpoint"],
        "health": config["extensions"]["healthcheckv2"]["http"]["endpoint"],
        "spans": config["exporters"]["prometheus"]["endpoint"],
        "own": f"{own['host']}:{own['port']}",
        "grpc": otlp["grpc"]["endpoint"],
    }
    assert {address(endpoint)[0] for endpoint in endpoints.values()} == {"0.0.0.0"}  # reachable from other containers
    return {name: address(endpoint)[1] for name, endpoint in endpoints.items()}


def scraped(job: str) -> set[tuple[str, int]]:
    """The (host, port) targets of a scrape job."""
    jobs = {config["job_name"]: config for config in read("deploy/prometheus/prometheus.yml")["scrape_configs"]}
    config = jobs[job]
    found = {(name, entry["port"]) for entry in config.get("dns_sd_configs", []) for name in entry["names"]}
    for entry in config.get("static_configs", []):
        found |= {(host, int(port)) for host, port in (target.split(":") for target in entry["targets"])}
    return found


def compose() -> list[str]:
    """Compose v2, as a program or as Docker's plugin."""
    for command in (["docker-compose"], ["docker", "compose"]):
        if shutil.which(command[0]):
            done = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
            if done.returncode == 0 and not done.stdout.startswith(("1.", "v1.")):
                return command
    pytest.skip("docker compose v2 is not installed")


@pytest.mark.needs("docker compose")
def test_docker_compose_accepts_the_file() -> None:
    checked = subprocess.run([*compose(), "config", "-q"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_built_or_pinned(name: str) -> None:
    service = SERVICES[name]
    assert "build" in service or re.fullmatch(r"[\w./-]+:v?\d+(\.\d+)+", service["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    assert SERVICES[name].get("network_mode") is None


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_long_running_services_have_healthchecks_and_limits(name: str) -> None:
    service = LONG_RUNNING[name]
    image_has_healthcheck = "build" in service and "\nHEALTHCHECK " in (PROJECT / "Dockerfile").read_text()
    assert service.get("healthcheck", {}).get("test") or image_has_healthcheck
    assert not service.get("healthcheck", {}).get("disable")
    assert {"memory", "cpus"} <= service["deploy"]["resources"]["limits"].keys()


@pytest.mark.parametrize("name", SERVICES)
def test_containers_have_minimal_privileges(name: str) -> None:
    service = SERVICES[name]
    assert "no-new-privileges:true" in service["security_opt"]
    if "build" in service:  # third-party images may need capabilities
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", SERVICES)
def test_mounted_folders_exist(name: str) -> None:
    folders = [source for source in mounts(name).values() if source.startswith(".")]
    assert [folder for folder in folders if not (PROJECT / folder).exists()] == []


def test_outbox_is_on_a_named_volume() -> None:
    """The rest of the file system is read-only."""
    assert mounts("app")["/var/lib/outbox"] == "outbox"
    assert "outbox" in read("docker-compose.yml")["volumes"]


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


def test_redis_url_of_the_stack_overrides_dot_env() -> None:
    """`localhost`, as in .env.example, is not reachable in the container."""
    assert address(environment("app")["REDIS_URL"]) == ("redis", 6379)
    assert SERVICES["redis"]["image"].startswith("redis:")
    assert published("redis") == set()


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


def test_load_profile_is_optional_and_uses_the_major_version_of_the_locked_locust() -> None:
    load = SERVICES["load"]
    assert load["profiles"] == ["load"]
    [major] = re.findall(r"^locust==(\d+)", (PROJECT / "requirements-dev.txt").read_text(), re.MULTILINE)
    assert load["image"].startswith(f"locustio/locust:{major}.")  # images follow the packages later
    options = dict(option.removeprefix("--").partition("=")[::2] for option in load["command"])
    assert address(options["host"]) in listeners()
    [folder] = [source for target, source in mounts("load").items() if target == "/srv/loadtests"]
    assert (PROJECT / folder / Path(options["locustfile"]).relative_to("/srv/loadtests")).is_file()


def test_stop_grace_period_is_longer_than_gunicorns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Otherwise Docker kills the workers before they have stored the rows."""
    path = PROJECT / "deploy/gunicorn.conf.py"
    if not path.exists():
        pytest.skip("deploy/gunicorn.conf.py is not there")
    monkeypatch.chdir(tmp_path)  # without a developer's .env
    for name, value in environment("app").items():
        monkeypatch.setenv(name, value)
    graceful_timeout = runpy.run_path(str(path))["graceful_timeout"]
    assert int(SERVICES["app"]["stop_grace_period"].removesuffix("s")) > graceful_timeout
