"""The manifests agree with each other, with the image and with the service that they run."""

import re

import pytest
from starlette.routing import Route

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
    """`2Gi` is 2048."""
    number, unit = re.fullmatch(r"(\d+)([MG])i", quantity).groups()  # type: ignore[union-attr]
    return int(number) * {"M": 1, "G": 1024}[unit]


def test_every_name_in_the_environment_is_a_setting() -> None:
    """Or OpenTelemetry's own; one with a typing error would change nothing, and say nothing."""
    told = [*environment(), *secrets(), *(each["name"] for each in container("Job")["env"])]
    assert {
        name for name in told if name.lower() not in Settings.model_fields and not name.startswith("OTEL_")
    } == set()


def test_a_pod_runs_one_worker_and_the_image_says_the_rest() -> None:
    """Its only metrics port is that of worker 0, and the process listens where others reach it."""
    told = environment()
    assert told["WEB_CONCURRENCY"] == "1"
    assert told["APP_ENV"] == "production"
    assert {"HOST=0.0.0.0", "METRICS_HOST=0.0.0.0"} <= set(re.findall(r"\w+=\S+", DOCKERFILE))
    assert not {"HOST", "METRICS_HOST"} & told.keys()


def test_the_ports_are_those_of_the_service() -> None:
    told = environment()
    assert {"http": int(told["PORT"]), "metrics": int(told["METRICS_PORT"])} == PORTS
    assert {"http": SETTINGS.port, "metrics": SETTINGS.metrics_port} == PORTS
    assert f"EXPOSE {PORTS['http']} {PORTS['metrics']}\n" in DOCKERFILE


def test_no_service_and_no_ingress_leads_to_the_metrics() -> None:
    services = {each["metadata"]["name"]: each["spec"] for each in base() if each["kind"] == "Service"}
    assert {port["targetPort"] for service in services.values() for port in service["ports"]} == {"http"}
    assert services.pop(only("StatefulSet", base())["spec"]["serviceName"])["clusterIP"] == "None"
    [(public, spec)] = services.items()
    [rule] = only("Ingress", base())["spec"]["rules"]
    for path in rule["http"]["paths"]:
        assert path["backend"]["service"]["name"] == public
        assert path["backend"]["service"]["port"]["name"] in {port["name"] for port in spec["ports"]}
    # Chats, and not whether the service is well: that costs the database a question.
    assert {path["path"]: path["pathType"] for path in rule["http"]["paths"]} == {"/v1": "Prefix", "/api": "Prefix"}


@pytest.mark.parametrize("family", ["nginx.ingress.kubernetes.io", "nginx.org"])
def test_the_ingress_holds_the_largest_request_in_memory_and_waits_for_the_longest_chat(family: str) -> None:
    """Or prompts are written to its disk, and answers that are not streamed are cut off."""
    told = only("Ingress", base())["metadata"]["annotations"]
    size = {"nginx.ingress.kubernetes.io": "proxy-body-size", "nginx.org": "client-max-body-size"}[family]
    for name in (size, "client-body-buffer-size"):
        assert int(told[f"{family}/{name}"].removesuffix("m")) * 2**20 > SETTINGS.max_body_bytes
    assert int(told[f"{family}/proxy-read-timeout"].removesuffix("s")) > SETTINGS.chat_timeout_s


def test_chats_go_to_servers_and_never_to_a_migration() -> None:
    spec = only("StatefulSet", base())["spec"]
    services = [each["spec"]["selector"] for each in base() if each["kind"] == "Service"]
    spread = [each["labelSelector"] for each in spec["template"]["spec"]["topologySpreadConstraints"]]
    budget = only("PodDisruptionBudget", base())["spec"]["selector"]
    [monitor] = read(BASE.parent / "monitoring" / "podmonitor.yaml")
    for selector in [*services, *spread, spec["selector"], budget, monitor["spec"]["selector"]]:
        assert selects(selector, SERVER)
        assert not selects(selector, MIGRATION)


@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_asks_what_the_service_answers(probe: str) -> None:
    served = {route.path for route in router.routes if isinstance(route, Route)}
    asked = container("StatefulSet")[probe]["httpGet"]
    assert asked["port"] == "http"
    assert asked["path"] == ("/readyz" if probe == "readinessProbe" else "/healthz")
    assert asked["path"] in served


def test_gunicorn_replaces_a_stuck_worker_before_kubernetes_replaces_the_pod() -> None:
    probe = container("StatefulSet")["livenessProbe"]
    stuck = re.search(r"^timeout = (\d+)$", (PROJECT / "deploy" / "gunicorn.conf.py").read_text(), re.MULTILINE)
    assert stuck
    assert probe["periodSeconds"] * probe["failureThreshold"] > int(stuck[1])


def test_rows_that_wait_are_on_a_disk_that_outlives_the_pod() -> None:
    """It is mounted where the image has its volume: a mount elsewhere would leave that one anonymous, and on top."""
    spec = only("StatefulSet", base())["spec"]
    [claim] = spec["volumeClaimTemplates"]
    mounts = {each["mountPath"]: each["name"] for each in container("StatefulSet")["volumeMounts"]}
    folder = environment()["OUTBOX_DIR"]
    assert mounts == {folder: claim["metadata"]["name"], "/tmp": "tmp"}
    assert f"\nVOLUME {folder}\n" in DOCKERFILE
    limit = int(environment()["OUTBOX_MAX_BYTES"])
    assert mebibytes(claim["spec"]["resources"]["requests"]["storage"]) > 1.2 * limit / 2**20
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenScaled": "Retain", "whenDeleted": "Retain"}


def test_the_autoscaler_alone_says_how_many_pods_there_are() -> None:
    """A number in the StatefulSet would undo the autoscaler's at each `kubectl apply`."""
    workload, scaler = only("StatefulSet", base()), only("HorizontalPodAutoscaler", base())["spec"]
    assert "replicas" not in workload["spec"]
    target = scaler["scaleTargetRef"]
    assert (target["apiVersion"], target["kind"]) == (workload["apiVersion"], workload["kind"])
    assert target["name"] == workload["metadata"]["name"]
    assert container("StatefulSet")["resources"]["requests"]["cpu"] == "1"  # what the percentage is of: one event loop
    budget = only("PodDisruptionBudget", base())["spec"]["maxUnavailable"]
    assert budget < scaler["minReplicas"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_process_has_or_can_gain_rights(kind: str) -> None:
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
def test_production_is_this_version_in_one_namespace_from_one_image() -> None:
    built = build(PRODUCTION)
    version = re.search(r'^version = "(.+)"$', (PROJECT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    images = {kind: only(kind, built)["spec"]["template"]["spec"]["containers"][0]["image"] for kind in KINDS}
    assert set(images.values()) == {f"groq-stream:{version[1]}"}
    namespace = only("Namespace", built)
    assert {each["metadata"].get("namespace", "") for each in built} == {namespace["metadata"]["name"], ""}
    assert [each["kind"] for each in built if "namespace" not in each["metadata"]] == ["Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    [server] = only("StatefulSet", built)["spec"]["template"]["spec"]["containers"]
    names = {next(iter(each)): next(iter(each.values()))["name"] for each in server["envFrom"]}
    assert names["configMapRef"] == only("ConfigMap", built)["metadata"]["name"]
    template = only("Secret", read(PRODUCTION / "secret.example.yaml"))["metadata"]
    assert (names["secretRef"], namespace["metadata"]["name"]) == (template["name"], template["namespace"])
