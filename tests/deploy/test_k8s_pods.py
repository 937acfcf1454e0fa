"""What the manifests tell a pod is what the service runs on: tried with the service, and without a cluster."""

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.deploy.k8s import container, environment, pod, secrets
from tests.support.ports import free_port, free_ports
from tests.support.processes import PROJECT, run
from tests.support.service import SimulatedGroq
from tests.support.serving import serving
from tests.support.shared import SharedResources

GUNICORN = PROJECT / "deploy" / "gunicorn.conf.py"
CHECK = ["deploy/k8s/check.py"]
FILLED = {
    "API_KEYS": "me:a-secret",
    "GROQ_API_KEY": "test",
    "DATABASE_URL": "postgresql://chat:chat@127.0.0.1:1/chats",
}


def told(folder: Path) -> dict[str, str]:
    """A pod's environment, with a folder and ports of this machine. There is no collector here."""
    own = {"OUTBOX_DIR": f"{folder}/outbox", "PORT": str(free_port()), "METRICS_PORT": str(free_ports(2))}
    return {name: value for name, value in environment().items() if "OTLP" not in name} | own


def test_the_pod_is_given_more_time_than_its_drain_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Streams, then uvicorn, then gunicorn, then the container; what preStop takes counts against the pod's time."""
    monkeypatch.chdir(tmp_path)  # a developer's .env is not read from there
    for name, value in (environment() | FILLED).items():
        monkeypatch.setenv(name, value)
    patience = runpy.run_path(str(GUNICORN))["graceful_timeout"]
    waits = container("StatefulSet")["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert waits > 0
    assert pod("StatefulSet")["spec"]["terminationGracePeriodSeconds"] >= waits + patience + 5


def test_pods_and_migration_may_come_in_any_order_and_need_nothing_but_what_the_manifests_say(
    shared: SharedResources, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    """In production's way, with the template's secrets: a chat before the migration has its row after it."""
    assert FILLED.keys() == secrets().keys()
    url = shared.empty_database("postgres", tmp_path)
    given = {**told(tmp_path), **FILLED, "DATABASE_URL": url, "GROQ_BASE_URL": groq.url}
    job, server = container("Job"), container("StatefulSet")
    probes = [server[f"{when}Probe"]["httpGet"]["path"] for when in ("startup", "readiness", "liveness")]
    del given["PORT"], given["METRICS_PORT"], given["WEB_CONCURRENCY"]
    count = int(environment()["WEB_CONCURRENCY"])
    with serving(tmp_path, http, given, database_url=url, workers=count, fresh=True) as running:
        assert [http.get(running.url + path).status_code for path in probes] == [200, 200, 200]
        assert running.ports == [running.metrics_base]  # what the PodMonitor asks, and no other
        assert running.chat().status == 401
        reply = running.chat(headers={"authorization": "Bearer a-secret"})
        assert reply.done
        assert running.finished_line(reply.id)["stored_in"] == "outbox"
        assert [each["name"] for each in job["env"]] == ["DATABASE_URL"]
        assert job["command"][:2] == ["python", "-m"]
        assert run(job["command"][2:], cwd=tmp_path, env={"DATABASE_URL": url})[0] == 0
        assert running.row_in_time(reply.id, seconds=30)["client"] == "me"


@pytest.mark.parametrize("missing", sorted(secrets()))
def test_production_does_not_start_without_any_of_the_secrets(tmp_path: Path, missing: str) -> None:
    """An empty value is none: so it is with the template as it stands."""
    env = told(tmp_path) | FILLED | {missing: secrets()[missing]}
    code, output = run(["gunicorn", "--config", str(GUNICORN)], cwd=tmp_path, env=env)
    assert code != 0
    assert output.startswith(missing)


def copied(folder: Path) -> Path:
    """The manifests and the rules, to be broken."""
    for name in ("k8s", "prometheus"):
        shutil.copytree(
            PROJECT / "deploy" / name, folder / "deploy" / name, ignore=shutil.ignore_patterns("secret.yaml")
        )
    return folder


def check(folder: Path, path: str | None = None) -> tuple[int, str]:
    """Files alone are checked where `path` leads to no kustomize."""
    env = {"PATH": path} if path else None
    done = subprocess.run([sys.executable, *CHECK], cwd=folder, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_the_manifests_are_what_kubernetes_takes() -> None:
    code, output = check(PROJECT)
    assert code == 0, output


@pytest.mark.parametrize(
    ("file", "right", "wrong", "words"),
    [
        (
            "base/statefulset.yaml",
            "podManagementPolicy:",
            "podManagmentPolicy:",
            "StatefulSet groq-stream: spec: Addit",
        ),
        (
            "base/statefulset.yaml",
            "sleep: {seconds: 5}",
            "sleep: {seconds: soon}",
            "preStop.sleep.seconds: 'soon' is not",
        ),
        (
            "base/scaling.yaml",
            "autoscaling/v2",
            "autoscaling/v2beta2",
            "knows no HorizontalPodAutoscaler of autoscaling/v",
        ),
        (
            "monitoring/podmonitor.yaml",
            "targetLabel: job",
            "target_label: job",
            "PodMonitor groq-stream: spec.podMetricsE",
        ),
        ("base/migrate.yaml", "kind: Job", "kind: [Job", "base/migrate.yaml: while parsing a flow"),
        (
            "../prometheus/rules/slo.yml",
            "record: sloth_slo_info",
            "recording: sloth_slo_info",
            "rules.py: PrometheusRule",
        ),
    ],
)
def test_a_mistake_in_a_file_is_told_without_kustomize(
    tmp_path: Path, file: str, right: str, wrong: str, words: str
) -> None:
    broken = copied(tmp_path) / "deploy" / "k8s" / file
    assert right in broken.read_text()
    broken.write_text(broken.read_text().replace(right, wrong, 1))
    code, output = check(tmp_path, path="/nowhere")
    assert code == 1
    assert words in output
