"""Network policies and the Ingress."""

import re
from typing import Any

from app.core.config import Settings
from tests.deploy.k8s import FOLDER, base, environment, only, pod, read, selects

SERVER = pod("StatefulSet")["metadata"]["labels"]
MIGRATION = pod("Job")["metadata"]["labels"]


def policies(labels: dict[str, str], kind: str) -> list[Any]:
    """Policies of a type (Ingress or Egress) for pods with these labels. Without any, all traffic is allowed."""
    every = [each["spec"] for each in base() if each["kind"] == "NetworkPolicy"]
    selected = [policy for policy in every if kind in policy["policyTypes"] and selects(policy["podSelector"], labels)]
    assert selected
    return selected


def ingress_peers(port: str, labels: dict[str, str]) -> list[Any]:
    """Peers that may connect to the port. A rule without ports allows all ports; one without peers gives {}."""
    rules = [rule for policy in policies(labels, "Ingress") for rule in policy.get("ingress", [])]
    matching = [rule for rule in rules if port in [each["port"] for each in rule.get("ports", [{"port": port}])]]
    return [peer for rule in matching for peer in rule.get("from", [{}])]


def egress_peers(labels: dict[str, str]) -> dict[int, list[Any]]:
    """Peers to which pods with these labels may connect, by port."""
    rules = [rule for policy in policies(labels, "Egress") for rule in policy.get("egress", [])]
    return {port["port"]: rule["to"] for rule in rules for port in rule["ports"]}


def test_only_prometheus_reaches_metrics_and_only_the_ingress_controller_the_api() -> None:
    [prometheus] = ingress_peers("metrics", SERVER)
    assert prometheus["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}
    assert prometheus["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "prometheus"}
    [controller] = ingress_peers("http", SERVER)
    [expression] = controller["namespaceSelector"]["matchExpressions"]
    assert expression["key"] == "kubernetes.io/metadata.name"
    assert ingress_peers("http", MIGRATION) == ingress_peers("metrics", MIGRATION) == []


def test_egress_is_limited_to_dependencies() -> None:
    """DNS, the database, Redis, the trace collector and Groq."""
    out, env = egress_peers(SERVER), environment()
    host, port = re.fullmatch(r"http://([\w.-]+):(\d+)", env["OTEL_EXPORTER_OTLP_ENDPOINT"]).groups()  # type: ignore[union-attr]
    assert out.keys() == {53, 443, 5432, 6379, int(port)}
    [collector] = out[int(port)]
    assert collector["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == host.split(".")[1]
    groq = {each["ipBlock"]["cidr"]: each["ipBlock"]["except"] for each in out[443]}
    private = {each["ipBlock"]["cidr"] for each in out[5432]}
    assert groq.keys() == {"0.0.0.0/0", "::/0"}
    assert {*private, "169.254.0.0/16"} <= set(groq["0.0.0.0/0"])
    assert egress_peers(MIGRATION) == {port: out[port] for port in (53, 5432)}


def test_ingress_timeouts_and_limits_exceed_those_of_the_service() -> None:
    settings = Settings(_env_file=None)
    annotations = only("Ingress", base())["metadata"]["annotations"]
    community = {name.split("/")[1]: value for name, value in annotations.items() if name.startswith("nginx.ingress.")}
    official = {name.split("/")[1]: value for name, value in annotations.items() if name.startswith("nginx.org/")}
    assert (community["proxy-buffering"], official["proxy-buffering"]) == ("off", "False")
    for name, least in (("read", settings.chat_timeout_s), ("send", settings.client_write_timeout_s)):
        assert official[f"proxy-{name}-timeout"] == f"{community[f'proxy-{name}-timeout']}s"
        assert int(community[f"proxy-{name}-timeout"]) > least
    assert community["proxy-body-size"] == official["client-max-body-size"]
    assert int(community["proxy-body-size"].removesuffix("m")) * 2**20 > settings.max_body_bytes
    assert community["proxy-next-upstream"] == official["proxy-next-upstream"] == "error timeout"


def test_route_of_a_gateway_has_the_paths_of_the_ingress_and_time_for_the_longest_chat() -> None:
    [route] = read(FOLDER / "gateway" / "httproute.yaml")
    [rule] = route["spec"]["rules"]
    [ingress] = only("Ingress", base())["spec"]["rules"]
    assert [match["path"]["value"] for match in rule["matches"]] == [each["path"] for each in ingress["http"]["paths"]]
    [backend] = rule["backendRefs"]
    [service] = [each for each in base() if each["kind"] == "Service" and each["metadata"]["name"] == backend["name"]]
    assert backend["port"] in [port["port"] for port in service["spec"]["ports"]]
    assert int(rule["timeouts"]["request"].removesuffix("s")) > Settings(_env_file=None).chat_timeout_s
