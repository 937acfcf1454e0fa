"""What is measured: each is started for its runs, with one worker on a core of its own, and stopped after them."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from loadtests.bench.clients import MODEL
from loadtests.bench.stage import END_CORES, SERVER_CORES, Stage, pin
from tests.support.ports import free_port, free_ports
from tests.support.service import PATH
from tests.support.waiting import wait_until

DIRECT, NGINX, TENSORZERO, ALL_OFF, ALL_ON = "direct", "nginx", "TensorZero", "all off", "all on"
BASE_OFF, BASE_ON = "base, all off", "base, all on"
_COMPLETIONS = "/openai/v1/chat/completions"
_NGINX = """
{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off; keepalive_requests 1000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream groq {{ server {upstream}; keepalive 4096; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://groq; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
        }}
    }}
}}
"""
_TENSORZERO = """
[gateway]
bind_address = "127.0.0.1:{port}"
observability.enabled = false
disable_pseudonymous_usage_analytics = true
[models.bench]
routing = ["upstream"]
[models.bench.providers.upstream]
type = "openai"
model_name = "{model}"
api_base = "{upstream}"
api_key_location = "none"
"""


@dataclass(frozen=True)
class Server:
    """`pid` is the root of its processes; `direct` has none. With a `database_url`, its rows and spans are counted."""

    name: str
    port: int
    path: str
    model: str = MODEL
    database_url: str | None = None
    pid: int | None = None


@contextmanager
def started(stage: Stage, *names: str) -> Iterator[list[Server]]:
    """Those of them that are installed, ready to answer."""
    programs = {NGINX: nginx(), TENSORZERO: stage.tensorzero}
    with ExitStack() as stack:
        yield [
            stack.enter_context(_STARTS.get(name, _service)(stage, name, free_port()))
            for name in names
            if programs.get(name, name)
        ]


def nginx() -> str | None:
    """The program, where it is installed: in the folder `TOOLS_PATH`, on the `PATH`, or where systems put it."""
    folders = [os.environ.get("TOOLS_PATH"), os.environ.get("PATH"), "/usr/sbin", "/usr/local/sbin"]
    return shutil.which("nginx", path=os.pathsep.join(filter(None, folders)))


def _direct(stage: Stage, name: str, _: int) -> AbstractContextManager[Server]:
    return nullcontext(Server(name, urlsplit(stage.real.groq.url).port or 0, _COMPLETIONS))


def _nginx(stage: Stage, name: str, port: int) -> AbstractContextManager[Server]:
    folder, upstream = _folder(stage, name), urlsplit(stage.real.groq.url).netloc
    config = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # the folder may be root's alone
    config.write_text(_NGINX.format(folder=folder, upstream=upstream, port=port, user=user))
    command: list[str | Path] = [nginx() or name, "-p", folder, "-c", config]
    return _running(stage, Server(name, port, _COMPLETIONS), command, healthy="/spans")


def _tensorzero(stage: Stage, name: str, port: int) -> AbstractContextManager[Server]:
    """The gateway's shipped build, as a proxy: without storage, traces and statistics about its use."""
    config = _folder(stage, name) / "tensorzero.toml"
    config.write_text(_TENSORZERO.format(port=port, upstream=stage.real.groq.url, model=MODEL))
    server = Server(name, port, _COMPLETIONS, model="tensorzero::model_name::bench")
    return _running(stage, server, [stage.tensorzero or name, "--config-file", config], healthy="/health")


def _service(stage: Stage, name: str, port: int) -> AbstractContextManager[Server]:
    """By `make serve`'s command, with the defaults but for what the environment and larger loads need."""
    code, signals = stage.base if name in (BASE_OFF, BASE_ON) else stage.current, name in (ALL_ON, BASE_ON)
    assert code, "no other revision was checked out"
    env = {
        "HOME": str(stage.real.folder),
        "PYTHONPATH": str(code.root),
        "PORT": str(port),
        "METRICS_PORT": str(free_ports(2)),
        "WEB_CONCURRENCY": "1",
        "GROQ_BASE_URL": stage.real.groq.url,
        "GROQ_API_KEY": "any",
        "DATABASE_URL": code.database_url,
        "LOG_FORMAT": "json",
        "MAX_ACTIVE_STREAMS": "4096",
    }
    if signals:
        env |= {
            "OTEL_TRACES_SAMPLER": "always_on",
            "OTEL_EXPORTER_OTLP_ENDPOINT": stage.real.groq.root,
            "OTEL_BSP_SCHEDULE_DELAY": "2000",
        }
    command: list[str | Path] = [code.python, "-m", "gunicorn", "--config", code.root / "deploy" / "gunicorn.conf.py"]
    command += [] if signals else ["loadtests.bench.bare:create_app()"]
    server = Server(name, port, PATH, database_url=code.database_url if signals else None)
    return _running(stage, server, command, healthy="/readyz", env=env)


def _folder(stage: Stage, name: str) -> Path:
    """Where a server runs. A service has its outbox there: the setting for that had another name before 0.1.0."""
    folder = stage.real.folder / name
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def _running(
    stage: Stage, server: Server, command: Sequence[str | Path], *, healthy: str, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Starts a program, whose path `healthy` answers with 200 when it is ready. Its output is in a file."""
    folder = _folder(stage, server.name)
    output = folder / "output.log"

    def ready() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended with exit code {process.returncode}:\n{output.read_text()[-2000:]}")
        with suppress(httpx2.TransportError):
            return stage.real.http.get(f"http://127.0.0.1:{server.port}{healthy}").status_code == 200
        return False

    with output.open("w") as file:
        pin(SERVER_CORES)
        try:
            process = subprocess.Popen(
                command, cwd=folder, env={"PATH": os.defpath, **(env or {})}, stdout=file, stderr=file
            )
        finally:
            pin(END_CORES)
    try:
        wait_until(ready, f"{command[0]} is not ready")
        yield replace(server, pid=process.pid)
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()


_STARTS = {DIRECT: _direct, NGINX: _nginx, TENSORZERO: _tensorzero}
