"""docker-compose.yml, and what it publishes, mounts and scrapes."""

import re
from typing import Any
from urllib.parse import urlsplit

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
