"""The steps of CONTRIBUTING.md work: each section is applied to a copy of the project, which then serves chats."""

import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import jwt
import pytest

from tests.support.processes import PROJECT, program
from tests.support.service import PATH, Service, SimulatedGroq

SECRET = "0123456789abcdef0123456789abcdef"
_BLOCK = re.compile(r"```(python|diff)\n# (\S+)\n(.*?)```", re.DOTALL)
_MAX_FILES = {"A provider": 8, "A step before the request is sent": 3, "Another authentication": 3}


@contextmanager
def extended(
    section: str, folder: Path, groq: SimulatedGroq, settings: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """Runs a copy of the project with the steps of a section."""
    for name in ("app", "migrations"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("alembic.ini", "pyproject.toml"):
        shutil.copy(PROJECT / name, folder)
    text = (PROJECT / "CONTRIBUTING.md").read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    steps = _BLOCK.findall(text)
    assert 0 < len({path for _, path, _ in steps}) <= _MAX_FILES[section]
    for kind, path, content in steps:
        (create if kind == "python" else edit)(folder / path, content)
    url = f"sqlite+aiosqlite:///{folder}/chats.db"
    env = {"DATABASE_URL": url, "GROQ_API_KEY": "test", "GROQ_BASE_URL": groq.url, "PORT": "0", **(settings or {})}
    with program(["app"], cwd=folder, env=env) as running:
        yield Service(running.url(), running, url, groq.http)


def create(path: Path, content: str) -> None:
    path.parent.mkdir(exist_ok=True)
    (path.parent / "__init__.py").touch()
    path.write_text(content)


def edit(path: Path, changes: str) -> None:
    """Replaces each run of `-` lines, which must occur exactly once, by the `+` lines that follow it."""
    text = path.read_text()
    for old, new in re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)+)", changes, re.MULTILINE):
        before, after = (re.sub("^.", "", lines, flags=re.MULTILINE) for lines in (old, new))
        assert text.count(before) == 1, f"{path.name} has these lines {text.count(before)} times:\n{before}"
        text = text.replace(before, after)
    path.write_text(text)


def test_second_provider_answers(tmp_path: Path, groq: SimulatedGroq) -> None:
    with extended("A provider", tmp_path, groq, {"GROQ_DEFAULT_MODEL": "echo-1"}) as service:
        reply = service.chat({"messages": [{"role": "user", "content": "Where are you?"}]})
        assert (reply.status, reply.text, reply.done) == (200, "Where are you?", True)
        models = service.http.get(f"{service.url}/v1/models").json()["data"]
        assert [model["id"] for model in models] == ["echo-1"]


def test_moderation_step_refuses_a_chat(tmp_path: Path, groq: SimulatedGroq) -> None:
    with extended("A step before the request is sent", tmp_path, groq) as service:
        refused = service.chat({"messages": [{"role": "user", "content": "Something forbidden"}]})
        assert (refused.status, refused.error["code"]) == (400, "content_blocked")
        assert service.chat().done


@pytest.mark.parametrize(
    ("expires_s", "secret", "status"), [(60, SECRET, 200), (-60, SECRET, 401), (60, "x" * 32, 401)]
)
def test_json_web_tokens_authenticate(
    tmp_path: Path, groq: SimulatedGroq, http: httpx2.Client, expires_s: int, secret: str, status: int
) -> None:
    token = jwt.encode({"sub": "reader", "exp": time.time() + expires_s}, secret, algorithm="HS256")
    with extended("Another authentication", tmp_path, groq, {"JWT_SECRET": SECRET}) as service:
        body = {"messages": [{"role": "user", "content": "Hello"}]}
        headers = {"authorization": f"Bearer {token}"}
        assert http.post(f"{service.url}{PATH}", json=body, headers=headers).status_code == status
