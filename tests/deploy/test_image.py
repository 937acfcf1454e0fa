"""The image builds, and serves with minimal privileges. `make image` runs these tests."""

import re
from pathlib import Path

import httpx2
import pytest

from app.core.config import Settings
from tests.deploy.container import ENGINE, IMAGE, Container, confined, engine, inspected, once, serving
from tests.support.database import query
from tests.support.ports import free_port, free_ports
from tests.support.processes import PROJECT
from tests.support.service import HELLO, PATH, SimulatedGroq
from tests.support.shared import SharedResources

pytestmark = [
    pytest.mark.needs("docker"),
    pytest.mark.skipif(not ENGINE, reason="set ENGINE=docker or ENGINE=podman to run these tests"),
]

OTHER_USER = 23456
"""A user id that is not in the image."""
OWN, OPENSHIFT, ANY = "10001:10001", f"{OTHER_USER}:0", f"{OTHER_USER}:{OTHER_USER}"
KEY = {"authorization": "Bearer secret"}
(BASE,) = set(re.findall(r"^FROM (python:\S+)", (PROJECT / "Dockerfile").read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def image() -> str:
    engine("build", "--tag", IMAGE, ".")
    return IMAGE


@pytest.fixture
def outbox(shared: SharedResources) -> Path:
    """A volume that OTHER_USER may write to. Only root could give it to him."""
    folder = shared.open_folder("outbox") / "volume"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.fixture
def env(groq: SimulatedGroq) -> dict[str, str]:
    """On the host's loopback. No database listens on the port of DATABASE_URL."""
    return {
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": str(free_ports(4)),
        "API_KEYS": "me:secret",
        "GROQ_API_KEY": "any",
        "GROQ_BASE_URL": groq.url,
        "DATABASE_URL": f"postgresql://me:pw@127.0.0.1:{free_port()}/chats",
    }


@pytest.fixture
def database(image: str, shared: SharedResources, env: dict[str, str], tmp_path: Path) -> str:
    """The URL of a database that the image migrated, without a volume."""
    env["DATABASE_URL"] = shared.empty_database("postgres", tmp_path)
    done = once(confined(tmp_path, ANY, None), env, "python", "-m", "app", "migrate")
    assert done.returncode == 0, done.stdout + done.stderr
    return env["DATABASE_URL"]


def chat(container: Container, http: httpx2.Client) -> str:
    """Sends a chat, checks its receipt, and returns the row's id."""
    response = http.post(container.url + PATH, json=HELLO, headers=KEY)
    assert response.text.endswith("data: [DONE]\n\n"), response.text
    return str(response.headers["x-request-id"])


def test_image_serves_as_any_user_with_a_read_only_root_and_no_shell(
    database: str, env: dict[str, str], outbox: Path, http: httpx2.Client, tmp_path: Path
) -> None:
    with serving(confined(tmp_path, ANY, outbox), http, env) as container:
        print(f"first response after {container.started_s:.2f} s")
        found = query(database, "SELECT outcome, client FROM chat_logs WHERE id = :id", id=chat(container, http))
        assert found == [{"outcome": "completed", "client": "me"}]
        assert container.run("sh", "-c", "true").returncode != 0
        refused = container.run("python", "-c", "open('/srv/written', 'w')")
        assert "Read-only file system" in refused.stderr
        assert container.stop() == 0


def test_healthcheck_detects_a_service_that_does_not_answer(
    image: str, env: dict[str, str], outbox: Path, http: httpx2.Client, tmp_path: Path
) -> None:
    """The HEALTHCHECK needs neither a shell nor curl."""
    kind, *command = inspected(image, ".Config.Healthcheck.Test")
    assert kind == "CMD"
    with serving(confined(tmp_path, ANY, outbox), http, env) as container:
        assert container.run(*command).returncode == 0
        assert container.run(*command, env={"PORT": str(free_port())}).returncode == 1


@pytest.mark.parametrize("user", [OWN, OPENSHIFT])
def test_default_volume_is_writable_for_the_user_and_for_group_0(
    image: str, env: dict[str, str], http: httpx2.Client, tmp_path: Path, user: str
) -> None:
    """The database is unavailable, so the chat's row is in the outbox on the volume."""
    assert image
    with serving(confined(tmp_path, user, None), http, env) as container:
        row = chat(container, http)
        assert row in container.run("python", "-m", "app", "outbox", "--export").stdout
        assert container.run("python", "-c", "import os; print(os.getuid())").stdout.strip() == user.partition(":")[0]


def test_unwritable_volume_is_reported_at_the_start(image: str, env: dict[str, str], tmp_path: Path) -> None:
    assert image
    done = once(confined(tmp_path, ANY, None), env)
    assert done.returncode != 0
    assert "OUTBOX_DIR: no rows can be written to /var/lib/outbox (Permission denied)" in (done.stdout + done.stderr)


def test_image_refuses_unsafe_production_settings(image: str, tmp_path: Path) -> None:
    assert image
    done = once(confined(tmp_path, OWN, None), {"GROQ_API_KEY": "any"})
    assert done.returncode != 0
    assert "API_KEYS: set it" in done.stdout + done.stderr


def test_image_has_no_build_tools_and_is_small(image: str) -> None:
    tools = "import shutil; print([each for each in ('cc', 'gcc', 'make', 'git', 'curl') if shutil.which(each)])"
    assert once([], {}, "python", "-c", tools).stdout.strip() == "[]"
    assert once([], {}, "/venv/bin/python", "-c", "import pip").returncode != 0
    engine("pull", BASE, check=False)  # a builder may keep it to itself; without a registry it is there already
    size, of_base = (inspected(name, ".Size") / 1e6 for name in (image, BASE))
    print(f"{size:.0f} MB, of which the base has {of_base:.0f}")
    assert size - of_base < 200


def test_image_configuration_matches_the_settings(image: str) -> None:
    """The user is numeric: Kubernetes cannot check runAsNonRoot with a name."""
    config = inspected(image, ".Config")
    assert config["User"] == OWN
    assert config["StopSignal"] in ("SIGTERM", "15")
    assert "APP_ENV=production" in config["Env"]
    assert list(config["Volumes"]) == ["/var/lib/outbox"]
    assert set(config["ExposedPorts"]) == {
        f"{Settings.model_fields[name].default}/tcp" for name in ("port", "metrics_port")
    }
