"""The recipes work: each section is applied, word for word, to a copy of the project, which then serves chats."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import jwt
import pytest

from tests.support.copies import copy_project
from tests.support.processes import PROJECT, program
from tests.support.service import Reply, Service, SimulatedGroq

RECIPES = PROJECT / "docs" / "recipes"
SECRET = "0123456789abcdef0123456789abcdef"
_STEP = re.compile(r"```(python|diff|sh)\n(?:# (\S+)\n)?(.*?)```", re.DOTALL)
_CHANGE = re.compile(r"((?:^-.*\n)+)((?:^\+.*\n)*)", re.MULTILINE)


def apply(recipe: str, section: str, folder: Path) -> None:
    """Applies the blocks of a section to a copy of the project."""
    text = (RECIPES / recipe).read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    steps = _STEP.findall(text)
    assert steps
    for kind, path, content in steps:
        if kind == "sh":
            remove(folder, content)
        elif kind == "python":
            create(folder / path, content)
        else:
            edit(folder / path, content)
    checked = [str(Path(sys.executable).with_name("ruff")), "check", "--no-cache", "--ignore=I001", "app"]
    done = subprocess.run(checked, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def remove(folder: Path, commands: str) -> None:
    """Removes the files of `git rm` lines, all of which must exist."""
    for command in commands.splitlines():
        assert command.startswith("git rm ")
        for path in (folder / each for each in command.split()[2:] if each != "-r"):
            assert path.exists(), f"there is no {path.name}"
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def create(path: Path, content: str) -> None:
    path.parent.mkdir(exist_ok=True)
    (path.parent / "__init__.py").touch()
    path.write_text(content)


def edit(path: Path, changes: str) -> None:
    """Replaces each run of `-` lines, which must occur exactly once, by the `+` lines that follow it."""
    text = path.read_text()
    for old, new in _CHANGE.findall(changes):
        before, after = (re.sub("^.", "", lines, flags=re.MULTILINE) for lines in (old, new))
        assert text.count(before) == 1, f"{path.name} has these lines {text.count(before)} times:\n{before}"
        text = text.replace(before, after)
    path.write_text(text)


@contextmanager
def changed(
    recipe: str, section: str, folder: Path, groq: SimulatedGroq, settings: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """Runs a copy of the project to which a section was applied."""
    apply(recipe, section, copy_project(folder))
    url = f"sqlite+aiosqlite:///{folder}/chats.db"
    env = {"DATABASE_URL": url, "GROQ_API_KEY": "test", "GROQ_BASE_URL": groq.url, "PORT": "0", **(settings or {})}
    with program(["app"], cwd=folder, env=env) as running:
        yield Service(running.url(), running, url, groq.http)


def test_every_section_is_tested() -> None:
    sections = [
        (path.name, section)
        for path in sorted(RECIPES.glob("*.md"))
        for section in re.findall("^## (.+)$", path.read_text(), re.MULTILINE)
    ]
    source = Path(__file__).read_text()
    assert len(sections) > 5
    assert [each for each in sections if f'"{each[1]}"' not in source] == []


def test_second_provider_answers_beside_groq(tmp_path: Path, groq: SimulatedGroq) -> None:
    with program(["app.simulator", "--port", "0"], cwd=tmp_path) as second:
        other = SimulatedGroq(second.url(), groq.http)
        before = groq.seen()["requests"]
        settings = {"OTHER_BASE_URL": other.url, "OTHER_API_KEY": "other"}
        with changed("providers.md", "A second provider beside Groq", tmp_path / "copy", groq, settings) as service:
            hello = {"messages": [{"role": "user", "content": "Hello"}]}
            theirs = service.chat(hello | {"model": "other/openai/gpt-oss-120b"})
            ours = service.chat(hello)
            assert (theirs.done, ours.done) == (True, True)
            assert (other.seen()["requests"], groq.seen()["requests"] - before) == (1, 1)
            assert service.row(theirs.id)["model_name"] == "openai/gpt-oss-120b"
            listed = [model["id"] for model in service.http.get(f"{service.url}/v1/models").json()["data"]]
            assert {"openai/gpt-oss-20b", "other/openai/gpt-oss-20b"} <= set(listed)


def test_provider_with_another_api_answers(tmp_path: Path, groq: SimulatedGroq) -> None:
    settings = {"GROQ_DEFAULT_MODEL": "echo-1"}
    with changed("providers.md", "A provider with another API", tmp_path, groq, settings) as service:
        reply = service.chat({"messages": [{"role": "user", "content": "Where are you?"}]})
        assert (reply.status, reply.text, reply.done) == (200, "Where are you?", True)
        models = service.http.get(f"{service.url}/v1/models").json()["data"]
        assert [model["id"] for model in models] == ["echo-1"]


def test_moderation_step_refuses_a_chat(tmp_path: Path, groq: SimulatedGroq) -> None:
    with changed("moderation.md", "A step before the request is sent", tmp_path, groq) as service:
        refused = service.chat({"messages": [{"role": "user", "content": "Something forbidden"}]})
        assert (refused.status, refused.error["code"]) == (400, "content_blocked")
        assert service.chat().done


def test_json_web_tokens_authenticate(tmp_path: Path, groq: SimulatedGroq) -> None:
    with changed("authentication.md", "JSON Web Tokens", tmp_path, groq, {"JWT_SECRET": SECRET}) as service:
        for expires_s, secret, status in ((60, SECRET, 200), (-60, SECRET, 401), (60, "x" * 32, 401)):
            token = jwt.encode({"sub": "reader", "exp": time.time() + expires_s}, secret, algorithm="HS256")
            assert service.chat(headers={"authorization": f"Bearer {token}"}).status == status


def test_conversation_is_continued_by_its_own_caller(tmp_path: Path, groq: SimulatedGroq) -> None:
    def said(reply: Reply, text: str, key: str) -> Reply:
        path, body = f"/api/v1/chat/{reply.id}/reply", {"messages": [{"role": "user", "content": text}]}
        return service.chat(body, path=path, headers={"authorization": f"Bearer {key}"})

    keys = {"API_KEYS": "me:mine,another:theirs"}
    with changed("conversations.md", "An endpoint", tmp_path, groq, keys) as service:
        first = service.chat(headers={"authorization": "Bearer mine"})
        second = said(first, "And why?", "mine")
        third = said(second, "Really?", "mine")
        assert third.done
        sent = groq.seen()["last_request"]["body"]["messages"]
        assert [message["content"] for message in sent] == ["Hello", first.text, "And why?", second.text, "Really?"]
        stranger = said(first, "And why?", "theirs")
        assert stranger.error["code"] in {"chat_not_found", "chat_running"}  # it may run on another worker


@pytest.mark.parametrize("section", ["The page", "Quotas", "Kubernetes", "Load tests"])
def test_project_streams_without_what_was_removed(tmp_path: Path, groq: SimulatedGroq, section: str) -> None:
    with changed("removing.md", section, tmp_path, groq) as service:
        assert service.chat().done
        assert service.http.get(f"{service.url}/").status_code == (404 if section == "The page" else 200)
    for command in (["make", "--dry-run", "lint"], [sys.executable, "-c", "import tests.conftest"]):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
