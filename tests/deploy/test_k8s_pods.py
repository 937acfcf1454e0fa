"""The service runs with the environment of the manifests; check.py finds errors in them."""

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from app import NAME
from tests.deploy.k8s import container, environment, pod, secrets
from tests.support.ports import free_port, free_ports
from tests.support.processes import PROJECT, run
from tests.support.service import SimulatedGroq
from tests.support.serving import serving
from tests.support.shared import SharedResources
from tests.support.waiting import wait_until

GUNICORN = PROJECT / "deploy" / "gunicorn.conf.py"
CHECK = ["deploy/k8s/check.py"]
FILLED = {
    "API_KEYS": "me:a-secret",
    "GROQ_API_KEY": "test",
    "DATABASE_URL": "postgresql://chat:chat@127.0.0.1:1/chats",
}


def pod_environment(folder: Path) -> dict[str, str]:
    """A pod's environment with a local folder and local ports, without a trace collector."""
    own = {"OUTBOX_DIR": f"{folder}/outbox", "PORT": str(free_port()), "METRICS_PORT": str(free_ports(2))}
    return {name: value for name, value in environment().items() if "OTLP" not in name} | own


def test_termination_grace_period_is_longer_than_a_drain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The grace period includes preStop and the timeouts of streams, uvicorn and gunicorn."""
    monkeypatch.chdir(tmp_path)  # without a developer's .env
    for name, value in (environment() | FILLED).items():
        monkeypatch.setenv(name, value)
    graceful_timeout = runpy.run_path(str(GUNICORN))["graceful_timeout"]
    pre_stop = container("StatefulSet")["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pre_stop > 0
    assert pod("StatefulSet")["spec"]["terminationGracePeriodSeconds"] >= pre_stop + graceful_timeout + 5


def test_pods_may_start_before_the_migration_with_the_manifests_settings(
    shared: SharedResources, groq: SimulatedGroq, http: httpx2.Client, tmp_path: Path
) -> None:
    """In production mode with the template's secrets: a chat before the migration has its row after it."""
    assert FILLED.keys() == secrets().keys()
    url = shared.empty_database("postgres", tmp_path)
    given = {**pod_environment(tmp_path), **FILLED, "DATABASE_URL": url, "GROQ_BASE_URL": groq.url}
    job, server = container("Job"), container("StatefulSet")
    probes = [server[f"{when}Probe"]["httpGet"]["path"] for when in ("startup", "readiness", "liveness")]
    del given["PORT"], given["METRICS_PORT"], given["WEB_CONCURRENCY"]
    count = int(environment()["WEB_CONCURRENCY"])
    with serving(tmp_path, http, given, database_url=url, workers=count, fresh=True) as running:
        wait_until(lambda: http.get(running.url + probes[1]).status_code == 503, "it is ready without tables")
        assert [http.get(running.url + path).status_code for path in probes] == [200, 503, 200]
        assert running.ports == [running.metrics_base]  # the only port of the PodMonitor
        assert running.chat().status == 401
        reply = running.chat(headers={"authorization": "Bearer a-secret"})
        assert reply.done
        assert running.finished_line(reply.id)["stored_in"] == "outbox"
        assert [each["name"] for each in job["env"]] == ["DATABASE_URL"]
        assert job["command"][:2] == ["python", "-m"]
        assert run(job["command"][2:], cwd=tmp_path, env={"DATABASE_URL": url})[0] == 0
        assert running.row_in_time(reply.id, seconds=30)["client"] == "me"
        wait_until(lambda: http.get(running.url + probes[1]).status_code == 200, "it is not ready with its tables")


@pytest.mark.parametrize("missing", sorted(secrets()))
def test_production_does_not_start_without_a_required_secret(tmp_path: Path, missing: str) -> None:
    """With an empty value, as in the template."""
    env = pod_environment(tmp_path) | FILLED | {missing: secrets()[missing]}
    code, output = run(["gunicorn", "--config", str(GUNICORN)], cwd=tmp_path, env=env)
    assert code != 0
    assert output.startswith(missing)


def copied(folder: Path) -> Path:
    """A copy of the manifests and rules that a test may change."""
    for name in ("k8s", "prometheus"):
        shutil.copytree(
            PROJECT / "deploy" / name, folder / "deploy" / name, ignore=shutil.ignore_patterns("secret.yaml")
        )
    return folder


def check(folder: Path, path: str | None = None) -> tuple[int, str]:
    """(exit code, stderr) of check.py; it checks only files if `path` has no kustomize."""
    env = {"PATH": path} if path else None
    done = subprocess.run([sys.executable, *CHECK], cwd=folder, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_manifests_are_valid() -> None:
    code, output = check(PROJECT)
    assert code == 0, output


@pytest.mark.parametrize(
    ("file", "right", "wrong", "words"),
    [
        (
            "base/statefulset.yaml",
            "podManagementPolicy:",
            "podManagmentPolicy:",
            f"StatefulSet {NAME}: spec: Addit",
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
            "has no schema for HorizontalPodAutoscaler of autoscaling/v",
        ),
        (
            "monitoring/podmonitor.yaml",
            "targetLabel: job",
            "target_label: job",
            f"PodMonitor {NAME}: spec.podMetricsE",
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
def test_check_reports_errors_in_files_without_kustomize(
    tmp_path: Path, file: str, right: str, wrong: str, words: str
) -> None:
    broken = copied(tmp_path) / "deploy" / "k8s" / file
    assert right in broken.read_text()
    broken.write_text(broken.read_text().replace(right, wrong, 1))
    code, output = check(tmp_path, path="/nowhere")
    assert code == 1
    assert words in output
