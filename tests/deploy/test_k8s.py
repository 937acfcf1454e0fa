"""The manifests are consistent with each other, with the image and with the settings."""

import re

import pytest
from starlette.routing import Route

from app import NAME
from app.api.health import router
from app.core.config import Settings
from tests.deploy.k8s import BASE, PRODUCTION, base, build, container, environment, only, pod, read, secrets, selects
from tests.support.processes import PROJECT

SETTINGS = Settings(_env_file=None)
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
SERVER = pod("StatefulSet")["metadata"]["labels"]
MIGRATION = pod("Job")["metadata"]["labels"]
PORTS = {port["name"]: port["containerPort"] for port in container("StatefulSet")["ports"]}
PROBES = [f"{when}Probe" for when in ("startup", "readiness", "liveness")]
KINDS = ["StatefulSet", "Job"]


def mebibytes(quantity: str) -> int:
    """A quantity in MiB: 2048 for `2Gi`."""
    number, unit = re.fullmatch(r"(\d+)([MG])i", quantity).groups()  # type: ignore[union-attr]
    return int(number) * {"M": 1, "G": 1024}[unit]


def test_environment_variables_are_settings() -> None:
    """Or OpenTelemetry's: the service ignores a misspelt name without an error."""
    names = [*environment(), *secrets(), *(each["name"] for each in container("Job")["env"])]
    assert {
        name for name in names if name.lower() not in Settings.model_fields and not name.startswith("OTEL_")
    } == set()


def test_pod_runs_one_worker_with_the_addresses_of_the_image() -> None:
    """Its only metrics port is that of worker 0; the image listens on all interfaces."""
    env = environment()
    assert env["WEB_CONCURRENCY"] == "1"
    assert env["APP_ENV"] == "production"
    assert {"HOST=0.0.0.0", "METRICS_HOST=0.0.0.0"} <= set(re.findall(r"\w+=\S+", DOCKERFILE))
    assert not {"HOST", "METRICS_HOST"} & env.keys()


def test_ports_match_the_settings_and_the_image() -> None:
    env = environment()
    assert {"http": int(env["PORT"]), "metrics": int(env["METRICS_PORT"])} == PORTS
    assert {"http": SETTINGS.port, "metrics": SETTINGS.metrics_port} == PORTS
    assert f"EXPOSE {PORTS['http']} {PORTS['metrics']}\n" in DOCKERFILE


def test_services_and_ingress_do_not_expose_metrics() -> None:
    services = {each["metadata"]["name"]: each["spec"] for each in base() if each["kind"] == "Service"}
    assert {port["targetPort"] for service in services.values() for port in service["ports"]} == {"http"}
    assert services.pop(only("StatefulSet", base())["spec"]["serviceName"])["clusterIP"] == "None"
    [(public, spec)] = services.items()
    [rule] = only("Ingress", base())["spec"]["rules"]
    for path in rule["http"]["paths"]:
        assert path["backend"]["service"]["name"] == public
        assert path["backend"]["service"]["port"]["name"] in {port["name"] for port in spec["ports"]}
    # The API only: /readyz queries the database.
    paths = {path["path"]: path["pathType"] for path in rule["http"]["paths"]}
    assert paths == dict.fromkeys(("/v1", "/openai/v1", "/api"), "Prefix")


@pytest.mark.parametrize("family", ["nginx.ingress.kubernetes.io", "nginx.org"])
def test_ingress_allows_the_largest_request_and_the_longest_chat(family: str) -> None:
    """Otherwise the controller writes prompts to its disk, or cuts off non-streamed answers."""
    annotations = only("Ingress", base())["metadata"]["annotations"]
    size = {"nginx.ingress.kubernetes.io": "proxy-body-size", "nginx.org": "client-max-body-size"}[family]
    for name in (size, "client-body-buffer-size"):
        assert int(annotations[f"{family}/{name}"].removesuffix("m")) * 2**20 > SETTINGS.max_body_bytes
    assert int(annotations[f"{family}/proxy-read-timeout"].removesuffix("s")) > SETTINGS.chat_timeout_s


def test_selectors_match_servers_but_not_the_migration() -> None:
    spec = only("StatefulSet", base())["spec"]
    services = [each["spec"]["selector"] for each in base() if each["kind"] == "Service"]
    spread = [each["labelSelector"] for each in spec["template"]["spec"]["topologySpreadConstraints"]]
    budget = only("PodDisruptionBudget", base())["spec"]["selector"]
    [monitor] = read(BASE.parent / "monitoring" / "podmonitor.yaml")
    for selector in [*services, *spread, spec["selector"], budget, monitor["spec"]["selector"]]:
        assert selects(selector, SERVER)
        assert not selects(selector, MIGRATION)


@pytest.mark.parametrize("probe", PROBES)
def test_probes_use_existing_endpoints(probe: str) -> None:
    served = {route.path for route in router.routes if isinstance(route, Route)}
    request = container("StatefulSet")[probe]["httpGet"]
    assert request["port"] == "http"
    assert request["path"] == ("/readyz" if probe == "readinessProbe" else "/healthz")
    assert request["path"] in served


def test_gunicorn_replaces_a_blocked_worker_before_kubernetes_restarts_the_pod() -> None:
    probe = container("StatefulSet")["livenessProbe"]
    timeout = re.search(r"^timeout = (\d+)$", (PROJECT / "deploy" / "gunicorn.conf.py").read_text(), re.MULTILINE)
    assert timeout
    assert probe["periodSeconds"] * probe["failureThreshold"] > int(timeout[1])


def test_outbox_is_on_a_persistent_volume() -> None:
    """Its path is that of the image's VOLUME: otherwise an ephemeral volume would hide it."""
    spec = only("StatefulSet", base())["spec"]
    [claim] = spec["volumeClaimTemplates"]
    mounts = {each["mountPath"]: each["name"] for each in container("StatefulSet")["volumeMounts"]}
    folder = environment()["OUTBOX_DIR"]
    assert mounts == {folder: claim["metadata"]["name"], "/tmp": "tmp"}
    assert f"\nVOLUME {folder}\n" in DOCKERFILE
    limit = int(environment()["OUTBOX_MAX_BYTES"])
    assert mebibytes(claim["spec"]["resources"]["requests"]["storage"]) > 1.2 * limit / 2**20
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenScaled": "Retain", "whenDeleted": "Retain"}


def test_only_the_autoscaler_sets_the_number_of_pods() -> None:
    """`replicas` in the StatefulSet would reset it at each `kubectl apply`."""
    workload, scaler = only("StatefulSet", base()), only("HorizontalPodAutoscaler", base())["spec"]
    assert "replicas" not in workload["spec"]
    target = scaler["scaleTargetRef"]
    assert (target["apiVersion"], target["kind"]) == (workload["apiVersion"], workload["kind"])
    assert target["name"] == workload["metadata"]["name"]
    # The target utilization is relative to the request: one core for one event loop.
    assert container("StatefulSet")["resources"]["requests"]["cpu"] == "1"
    budget = only("PodDisruptionBudget", base())["spec"]["maxUnavailable"]
    assert budget < scaler["minReplicas"]


@pytest.mark.parametrize("kind", KINDS)
def test_processes_have_no_privileges(kind: str) -> None:
    spec, own = pod(kind)["spec"], container(kind)["securityContext"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert "memory" in container(kind)["resources"]["limits"]


@pytest.mark.needs("kustomize")
def test_production_overlay_has_one_version_and_one_namespace() -> None:
    built = build(PRODUCTION)
    version = re.search(r'^version = "(.+)"$', (PROJECT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    images = {kind: only(kind, built)["spec"]["template"]["spec"]["containers"][0]["image"] for kind in KINDS}
    assert set(images.values()) == {f"{NAME}:{version[1]}"}
    namespace = only("Namespace", built)
    assert {each["metadata"].get("namespace", "") for each in built} == {namespace["metadata"]["name"], ""}
    assert [each["kind"] for each in built if "namespace" not in each["metadata"]] == ["Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    [server] = only("StatefulSet", built)["spec"]["template"]["spec"]["containers"]
    names = {next(iter(each)): next(iter(each.values()))["name"] for each in server["envFrom"]}
    assert names["configMapRef"] == only("ConfigMap", built)["metadata"]["name"]
    template = only("Secret", read(PRODUCTION / "secret.example.yaml"))["metadata"]
    assert (names["secretRef"], namespace["metadata"]["name"]) == (template["name"], template["namespace"])
