"""docker-compose.yml is valid, publishes ports on loopback only, and matches the mounted configuration."""

import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.compose import LONG_RUNNING, SERVICES, address, environment, listeners, mounts, published, read
from tests.support.processes import PROJECT


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


def test_redis_url_of_the_stack_overrides_dot_env() -> None:
    """`localhost`, as in .env.example, is not reachable in the container."""
    assert address(environment("app")["REDIS_URL"]) == ("redis", 6379)
    assert SERVICES["redis"]["image"].startswith("redis:")
    assert published("redis") == set()


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
