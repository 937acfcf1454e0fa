"""The image is built, and serves where next to nothing is allowed. `make image` asks for these tests."""

import os
from pathlib import Path

import httpx2
import pytest

from app.core.config import Settings
from tests.deploy.container import ENGINE, IMAGE, Container, confined, engine, inspected, once, serving
from tests.support.database import query
from tests.support.ports import free_port, free_ports
from tests.support.service import HELLO, PATH, SimulatedGroq
from tests.support.shared import SharedResources

pytestmark = [
    pytest.mark.needs("docker"),
    pytest.mark.skipif(not ENGINE, reason="ENGINE says which to use: make test-all ENGINE=docker, or podman"),
]

STRANGER = 23456
"""A user whom the image does not know."""
OWN, OPENSHIFT, ANY = "10001:10001", f"{STRANGER}:0", f"{STRANGER}:{STRANGER}"
KEY = {"authorization": "Bearer secret"}
BASE = "python:3.13-slim"


@pytest.fixture(scope="module")
def image() -> str:
    engine("build", "--tag", IMAGE, ".")
    return IMAGE


@pytest.fixture
def outbox(shared: SharedResources) -> Path:
    """A disk of the stranger's own."""
    folder = shared.open_folder("outbox") / "volume"
    folder.mkdir(mode=0o700)
    os.chown(folder, STRANGER, STRANGER)
    return folder


@pytest.fixture
def env(groq: SimulatedGroq) -> dict[str, str]:
    """Of the host's own network: loopback alone. Nobody listens where the database is said to be."""
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
    """Migrated by the image itself, which needs no volume for it."""
    env["DATABASE_URL"] = shared.empty_database("postgres", tmp_path)
    done = once(confined(tmp_path, ANY, None), env, "python", "-m", "app", "migrate")
    assert done.returncode == 0, done.stdout + done.stderr
    return env["DATABASE_URL"]


def chat(container: Container, http: httpx2.Client) -> str:
    """Has a chat to its receipt; the row's id."""
    response = http.post(container.url + PATH, json=HELLO, headers=KEY)
    assert response.text.endswith("data: [DONE]\n\n"), response.text
    return str(response.headers["x-request-id"])


def test_any_user_is_served_a_chat_from_a_read_only_root_without_a_shell(
    database: str, env: dict[str, str], outbox: Path, http: httpx2.Client, tmp_path: Path
) -> None:
    with serving(confined(tmp_path, ANY, outbox), http, env) as container:
        print(f"the first answer came after {container.started_s:.2f} s")
        found = query(database, "SELECT outcome, client FROM chat_logs WHERE id = :id", id=chat(container, http))
        assert found == [{"outcome": "completed", "client": "me"}]
        assert container.run("sh", "-c", "true").returncode != 0
        refused = container.run("python", "-c", "open('/srv/written', 'w')")
        assert "Read-only file system" in refused.stderr
        assert container.stop() == 0


def test_the_image_tells_a_service_that_answers_from_one_that_does_not(
    image: str, env: dict[str, str], outbox: Path, http: httpx2.Client, tmp_path: Path
) -> None:
    """By its HEALTHCHECK, which needs neither a shell nor curl."""
    kind, *command = inspected(image, ".Config.Healthcheck.Test")
    assert kind == "CMD"
    with serving(confined(tmp_path, ANY, outbox), http, env) as container:
        assert container.run(*command).returncode == 0
        assert container.run(*command, env={"PORT": str(free_port())}).returncode == 1


@pytest.mark.parametrize("user", [OWN, OPENSHIFT])
def test_the_image_s_own_volume_takes_rows_of_its_user_and_of_the_group_0(
    image: str, env: dict[str, str], http: httpx2.Client, tmp_path: Path, user: str
) -> None:
    """The database is away: the receipt says that the row is on the volume."""
    assert image
    with serving(confined(tmp_path, user, None), http, env) as container:
        row = chat(container, http)
        assert row in container.run("python", "-m", "app", "outbox", "--export").stdout
        assert container.run("python", "-c", "import os; print(os.getuid())").stdout.strip() == user.partition(":")[0]


def test_a_volume_of_somebody_else_s_is_one_sentence(image: str, env: dict[str, str], tmp_path: Path) -> None:
    assert image
    done = once(confined(tmp_path, ANY, None), env)
    assert done.returncode != 0
    assert "OUTBOX_DIR: no rows can be written to /var/lib/groq-stream/outbox (Permission denied)" in (
        done.stdout + done.stderr
    )


def test_the_image_refuses_what_is_not_fit_for_production(image: str, tmp_path: Path) -> None:
    assert image
    done = once(confined(tmp_path, OWN, None), {"GROQ_API_KEY": "any"})
    assert done.returncode != 0
    assert "API_KEYS: set it" in done.stdout + done.stderr


def test_the_image_brings_what_runs_and_little_else(image: str) -> None:
    tools = "import shutil; print([each for each in ('cc', 'gcc', 'make', 'git', 'curl') if shutil.which(each)])"
    assert once([], {}, "python", "-c", tools).stdout.strip() == "[]"
    assert once([], {}, "/venv/bin/python", "-c", "import pip").returncode != 0
    size, of_base = (inspected(name, ".Size") / 1e6 for name in (image, BASE))
    print(f"{size:.0f} MB, of which the base has {of_base:.0f}")
    assert size - of_base < 200


def test_the_image_is_run_by_a_number_and_keeps_what_the_tree_says(image: str) -> None:
    """Kubernetes can tell that a number is not root; a name it cannot."""
    config = inspected(image, ".Config")
    assert config["User"] == OWN
    assert config["StopSignal"] in ("SIGTERM", "15")
    assert "APP_ENV=production" in config["Env"]
    assert list(config["Volumes"]) == ["/var/lib/groq-stream/outbox"]
    assert set(config["ExposedPorts"]) == {
        f"{Settings.model_fields[name].default}/tcp" for name in ("port", "metrics_port")
    }
