"""The image and its containers, with the engine in `ENGINE`: Docker or podman."""

import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from app import NAME
from tests.support.processes import PROJECT

ENGINE = shlex.split(os.environ.get("ENGINE", ""))
IMAGE = NAME
OUTBOX = "/var/lib/outbox"
_SHELLS = ("/usr/bin/dash", "/usr/bin/bash")
_START_S = 60


def engine(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a command of the engine; with `check`, fails with its output if it fails."""
    # podman's default format does not support HEALTHCHECK.
    env = os.environ | {"BUILDAH_FORMAT": "docker"}
    done = subprocess.run([*ENGINE, *arguments], cwd=PROJECT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"{shlex.join(arguments)}\n{done.stdout}{done.stderr}"
    return done


def inspected(image: str, field: str) -> Any:
    return json.loads(engine("image", "inspect", "--format", f"{{{{json {field}}}}}", image).stdout)


@dataclass(frozen=True)
class Container:
    """A running container. `started_s` is the time from the command to the first response."""

    id: str
    url: str
    started_s: float

    def run(self, *command: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Runs a command in the container."""
        return engine("exec", *_environment(env or {}), self.id, *command, check=False)

    def stop(self) -> int:
        """Stops the container with the grace period of docker-compose.yml; returns the exit code."""
        engine("stop", "--time", "35", self.id)
        return int(engine("wait", self.id).stdout)


def confined(folder: Path, user: str, outbox: Path | None) -> list[str]:
    """Flags for a read-only root, no capabilities, no new privileges and no shell."""
    empty = folder / "empty"
    empty.touch()
    flags = ["--network=host", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    flags += [f"--volume={empty}:{shell}:ro" for shell in _SHELLS]
    if outbox is not None:
        flags.append(f"--volume={outbox}:{OUTBOX}")
    return [*flags, f"--user={user}"]


@contextmanager
def serving(flags: Sequence[str], http: httpx2.Client, env: Mapping[str, str]) -> Iterator[Container]:
    """Runs the image's default command, and prints its log at the end for pytest's report."""
    started = time.monotonic()
    container = engine("run", "--detach", *flags, *_environment(env), IMAGE).stdout.strip()
    try:
        url = f"http://127.0.0.1:{env['PORT']}"
        _wait_until_answering(http, url, container)
        yield Container(container, url, time.monotonic() - started)
    finally:
        logged = engine("logs", container, check=False)
        print(logged.stdout + logged.stderr)
        engine("rm", "--force", "--volumes", container)


def once(flags: Sequence[str], env: Mapping[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a temporary container."""
    return engine("run", "--rm", *flags, *_environment(env), IMAGE, *command, check=False)


def _environment(env: Mapping[str, str]) -> list[str]:
    return [f"--env={name}={value}" for name, value in env.items()]


def _wait_until_answering(http: httpx2.Client, url: str, container: str) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            if http.get(f"{url}/healthz").is_success:
                return
        except httpx2.TransportError:
            running = engine("inspect", "--format", "{{.State.Running}}", container).stdout.strip()
            assert running == "true", "the container has stopped"
        assert time.monotonic() < deadline, "the service does not answer"
        time.sleep(0.05)
