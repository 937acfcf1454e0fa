"""docker-compose.yml is well formed, keeps to this machine, and agrees with the files that it mounts."""

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
LASTING = {name: service for name, service in SERVICES.items() if service.get("restart") != "no"}


def environment(service: str) -> dict[str, str]:
    """With the defaults of what a `.env` may say otherwise: `${NAME:-default}`."""
    told = SERVICES[service].get("environment", {})
    return {name: re.sub(r"\$\{\w+:-([^}]*)}", r"\1", str(value)) for name, value in told.items()}


def published(service: str) -> set[int]:
    """The container's own ports among those that the host sees."""
    return {int(port.rsplit(":", 1)[1]) for port in SERVICES[service].get("ports", [])}


def mounts(service: str) -> dict[str, str]:
    """Where each folder or volume is in the container."""
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
    assert {address(endpoint)[0] for endpoint in endpoints.values()} == {"0.0.0.0"}  # or no container reaches it
    return {name: address(endpoint)[1] for name, endpoint in endpoints.items()}


def scraped(job: str) -> set[tuple[str, int]]:
    """What Prometheus asks, as (host, port)."""
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
            asked = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=False)
            if asked.returncode == 0 and not asked.stdout.startswith(("1.", "v1.")):
                return command
    pytest.skip("there is no docker compose v2 here")


@pytest.mark.needs("docker compose")
def test_compose_itself_accepts_the_file() -> None:
    checked = subprocess.run([*compose(), "config", "-q"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_is_built_here_or_pinned_to_a_version(name: str) -> None:
    service = SERVICES[name]
    assert "build" in service or re.fullmatch(r"[\w./-]+:v?\d+(\.\d+)+", service["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_port_is_published_on_loopback_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    assert SERVICES[name].get("network_mode") is None


@pytest.mark.parametrize("name", LASTING)
def test_what_runs_for_long_says_how_it_is_and_has_a_limit(name: str) -> None:
    service = LASTING[name]
    image_says = "build" in service and "\nHEALTHCHECK " in (PROJECT / "Dockerfile").read_text()
    assert service.get("healthcheck", {}).get("test") or image_says
    assert not service.get("healthcheck", {}).get("disable")
    assert {"memory", "cpus"} <= service["deploy"]["resources"]["limits"].keys()


@pytest.mark.parametrize("name", SERVICES)
def test_no_process_can_gain_rights_and_ours_start_with_none(name: str) -> None:
    service = SERVICES[name]
    assert "no-new-privileges:true" in service["security_opt"]
    if "build" in service:  # of the other images, only their makers know what they need
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_folder_that_is_mounted_exists(name: str) -> None:
    folders = [source for source in mounts(name).values() if source.startswith(".")]
    assert [folder for folder in folders if not (PROJECT / folder).exists()] == []


def test_what_is_in_the_outbox_outlives_the_container() -> None:
    """The file system is read-only but for the volume, and the volume has a name."""
    assert mounts("app")["/var/lib/groq-stream/outbox"] == "outbox"
    assert "outbox" in read("docker-compose.yml")["volumes"]


@pytest.mark.parametrize("name", ["app", "migrate", "simulator", "db"])
def test_the_service_waits_for_nothing_that_watches_it(name: str) -> None:
    """Telemetry never holds it up, nor what it waits for."""
    assert SERVICES[name].get("depends_on", {}).keys() <= {"migrate", "simulator", "db"}


def test_prometheus_asks_every_worker_and_the_host_sees_none() -> None:
    """A reload overlaps the workers: twice as many ports, from the first one on."""
    told = environment("app")
    first, workers = int(told["METRICS_PORT"]), int(told["WEB_CONCURRENCY"])
    ports = set(range(first, first + 2 * workers))
    assert scraped("chat") == {("app", port) for port in ports}
    assert told["METRICS_HOST"] == "0.0.0.0"
    assert not ports & published("app")


def test_prometheus_keeps_what_its_rules_look_back_on() -> None:
    """The error budget is counted over 30 days; exemplars lead from a graph to a trace."""
    flags = SERVICES["prometheus"]["command"]
    [kept] = [int(days) for flag in flags for days in re.findall(r"^--storage\.tsdb\.retention\.time=(\d+)d$", flag)]
    rules = "".join(path.read_text() for path in (PROJECT / "deploy/prometheus/rules").glob("*.yml"))
    assert kept >= max(int(days) for days in re.findall(r"\[(\d+)d[]:]", rules))
    assert "--enable-feature=exemplar-storage" in flags


def test_quotas_are_counted_in_a_redis_of_this_stack_whatever_dot_env_says() -> None:
    """`localhost`, as in .env.example, is nobody there; and chats would go uncounted."""
    assert address(environment("app")["REDIS_URL"]) == ("redis", 6379)
    assert SERVICES["redis"]["image"].startswith("redis:")
    assert published("redis") == set()


def test_spans_go_where_jaeger_receives_them() -> None:
    assert address(environment("app")["OTEL_EXPORTER_OTLP_ENDPOINT"]) == ("jaeger", jaeger_ports()["otlp"])


def test_jaeger_is_asked_where_it_answers() -> None:
    """Its page, its health, its metrics and those of the spans; and it finds those again in Prometheus."""
    ports = jaeger_ports()
    assert published("jaeger") == {ports["page"]}
    assert address(SERVICES["jaeger"]["healthcheck"]["test"][-1])[1] == ports["health"]
    assert scraped("jaeger") == {("jaeger", ports["own"]), ("jaeger", ports["spans"])}
    storage = read("deploy/jaeger/config.yaml")["extensions"]["jaeger_storage"]
    assert address(storage["metric_backends"]["spans"]["prometheus"]["endpoint"]) in listeners()
    assert storage["backends"]["recent"]["memory"]["max_traces"] > 0


def test_grafana_opens_with_a_dashboard_that_is_there() -> None:
    home = Path(environment("grafana")["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (PROJECT / mounts("grafana")[str(home.parent)] / home.name).is_file()


def test_grafana_asks_services_of_this_stack_with_what_it_was_told() -> None:
    path = "deploy/grafana/provisioning/datasources/datasources.yml"
    sources = read(path)["datasources"]
    assert len(sources) == 3
    assert {address(source["url"]) for source in sources} <= listeners()
    assert set(re.findall(r"\$\{?([A-Z_]{3,})", (PROJECT / path).read_text())) <= environment("grafana").keys()
    assert environment("grafana")["CHAT_READER_PASSWORD"] == environment("reader")["CHAT_READER_PASSWORD"]


def test_the_load_is_off_until_asked_for_and_comes_from_the_locust_that_is_tested() -> None:
    load = SERVICES["load"]
    assert load["profiles"] == ["load"]
    [pinned] = re.findall(r"^locust==(\S+)", (PROJECT / "requirements-dev.txt").read_text(), re.MULTILINE)
    assert load["image"] == f"locustio/locust:{pinned}"
    told = dict(option.removeprefix("--").partition("=")[::2] for option in load["command"])
    assert address(told["host"]) in listeners()
    [folder] = [source for target, source in mounts("load").items() if target == "/srv/loadtests"]
    assert (PROJECT / folder / Path(told["locustfile"]).relative_to("/srv/loadtests")).is_file()


def test_docker_waits_longer_than_gunicorn_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Or the workers are killed while they still save what was streamed."""
    path = PROJECT / "deploy/gunicorn.conf.py"
    if not path.exists():
        pytest.skip("deploy/gunicorn.conf.py is not there")
    monkeypatch.chdir(tmp_path)  # a developer's .env is not read from there
    for name, value in environment("app").items():
        monkeypatch.setenv(name, value)
    patience = runpy.run_path(str(path))["graceful_timeout"]
    assert int(SERVICES["app"]["stop_grace_period"].removesuffix("s")) > patience
