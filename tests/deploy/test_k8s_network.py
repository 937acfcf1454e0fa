"""Who reaches the pods in the cluster, whom they reach, and what stands between them and their clients."""

import re
from typing import Any

from app.core.config import Settings
from tests.deploy.k8s import base, environment, only, pod, selects

SERVER = pod("StatefulSet")["metadata"]["labels"]
MIGRATION = pod("Job")["metadata"]["labels"]


def policies(labels: dict[str, str], kind: str) -> list[Any]:
    """Those of one kind, Ingress or Egress, that hold for such pods. Without one, everything is allowed."""
    every = [each["spec"] for each in base() if each["kind"] == "NetworkPolicy"]
    chosen = [policy for policy in every if kind in policy["policyTypes"] and selects(policy["podSelector"], labels)]
    assert chosen
    return chosen


def let_in(port: str, labels: dict[str, str]) -> list[Any]:
    """Whom such pods let in to a port. A rule without ports opens all, one that names nobody is for everybody: {}."""
    rules = [rule for policy in policies(labels, "Ingress") for rule in policy.get("ingress", [])]
    open_ones = [rule for rule in rules if port in [each["port"] for each in rule.get("ports", [{"port": port}])]]
    return [peer for rule in open_ones for peer in rule.get("from", [{}])]


def let_out(labels: dict[str, str]) -> dict[int, list[Any]]:
    """By port, whom such pods may talk to."""
    rules = [rule for policy in policies(labels, "Egress") for rule in policy.get("egress", [])]
    return {port["port"]: rule["to"] for rule in rules for port in rule["ports"]}


def test_metrics_are_for_prometheus_alone_and_chats_come_through_the_ingress() -> None:
    [prometheus] = let_in("metrics", SERVER)
    assert prometheus["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}
    assert prometheus["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "prometheus"}
    [controller] = let_in("http", SERVER)
    [expression] = controller["namespaceSelector"]["matchExpressions"]
    assert expression["key"] == "kubernetes.io/metadata.name"
    assert let_in("http", MIGRATION) == let_in("metrics", MIGRATION) == []


def test_pods_reach_what_they_need_and_no_more() -> None:
    """The database, Redis, the collector of spans, Groq, and who knows their names."""
    out, told = let_out(SERVER), environment()
    host, port = re.fullmatch(r"http://([\w.-]+):(\d+)", told["OTEL_EXPORTER_OTLP_ENDPOINT"]).groups()  # type: ignore[union-attr]
    assert out.keys() == {53, 443, 5432, 6379, int(port)}
    [collector] = out[int(port)]
    assert collector["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == host.split(".")[1]
    groq = {each["ipBlock"]["cidr"]: each["ipBlock"]["except"] for each in out[443]}
    private = {each["ipBlock"]["cidr"] for each in out[5432]}
    assert groq.keys() == {"0.0.0.0/0", "::/0"}
    assert {*private, "169.254.0.0/16"} <= set(groq["0.0.0.0/0"])
    assert let_out(MIGRATION) == {port: out[port] for port in (53, 5432)}


def test_the_ingress_leaves_ends_and_refusals_to_the_service() -> None:
    settings = Settings(_env_file=None)
    said = only("Ingress", base())["metadata"]["annotations"]
    ours = {name.split("/")[1]: value for name, value in said.items() if name.startswith("nginx.ingress.")}
    theirs = {name.split("/")[1]: value for name, value in said.items() if name.startswith("nginx.org/")}
    assert (ours["proxy-buffering"], theirs["proxy-buffering"]) == ("off", "False")
    for name, least in (("read", settings.chat_timeout_s), ("send", settings.client_write_timeout_s)):
        assert theirs[f"proxy-{name}-timeout"] == f"{ours[f'proxy-{name}-timeout']}s"
        assert int(ours[f"proxy-{name}-timeout"]) > least
    assert ours["proxy-body-size"] == theirs["client-max-body-size"]
    assert int(ours["proxy-body-size"].removesuffix("m")) * 2**20 > settings.max_body_bytes
    assert ours["proxy-next-upstream"] == theirs["proxy-next-upstream"] == "error timeout"
