"""What is measured: each is started for its runs, with one worker on a core of its own, and stopped after them."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from loadtests.bench.clients import MODEL
from loadtests.bench.stage import SERVER_CORES, Stage, pinned
from tests.support.ports import free_port, free_ports
from tests.support.service import PATH
from tests.support.waiting import wait_until

DIRECT, NGINX, TENSORZERO, ALL_OFF, ALL_ON = "direct", "nginx", "TensorZero", "all off", "all on"
BASE_OFF, BASE_ON = "base, all off", "base, all on"
_COMPLETIONS = "/openai/v1/chat/completions"
_BARE = "loadtests.bench.bare:create_app()"
_STOP_S = 60
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
    pid: int | None = None
    model: str = MODEL
    database_url: str | None = None


@contextmanager
def started(stage: Stage, *names: str) -> Iterator[list[Server]]:
    """Those of them that are installed, ready to answer."""
    with ExitStack() as stack:
        with pinned(SERVER_CORES):
            servers = [stack.enter_context(_SERVERS[name](stage)) for name in names if _installed(stage, name)]
        yield servers


def nginx() -> str | None:
    """The program, where it is installed: in the folder `TOOLS_PATH`, on the `PATH`, or where systems put it."""
    folders = [os.environ.get("TOOLS_PATH"), os.environ.get("PATH"), "/usr/sbin", "/usr/local/sbin"]
    return shutil.which("nginx", path=os.pathsep.join(filter(None, folders)))


def _installed(stage: Stage, name: str) -> bool:
    return {NGINX: nginx(), TENSORZERO: stage.tensorzero}.get(name, name) is not None


def _direct(stage: Stage) -> AbstractContextManager[Server]:
    return nullcontext(Server(DIRECT, urlsplit(stage.real.groq.url).port or 0, _COMPLETIONS))


@contextmanager
def _nginx(stage: Stage) -> Iterator[Server]:
    folder, port = stage.real.folder / "nginx", free_port()
    folder.mkdir(exist_ok=True)
    user = "user root;" if os.geteuid() == 0 else ""  # the folder may be root's alone
    config, upstream = folder / "nginx.conf", urlsplit(stage.real.groq.url).netloc
    config.write_text(_NGINX.format(folder=folder, upstream=upstream, port=port, user=user))
    with _running(stage, [nginx() or "nginx", "-p", folder, "-c", config], {}, port) as pid:
        yield Server(NGINX, port, _COMPLETIONS, pid)


@contextmanager
def _tensorzero(stage: Stage) -> Iterator[Server]:
    """The gateway's shipped build, as a proxy: without storage, traces and statistics about its use."""
    config, port = stage.real.folder / "tensorzero.toml", free_port()
    config.write_text(_TENSORZERO.format(port=port, upstream=stage.real.groq.url, model=MODEL))
    command: list[str | Path] = [stage.tensorzero or "gateway", "--config-file", config]
    with _running(stage, command, {}, port, healthy="/health") as pid:
        yield Server(TENSORZERO, port, _COMPLETIONS, pid, "tensorzero::model_name::bench")


@contextmanager
def _service(stage: Stage, name: str) -> Iterator[Server]:
    """By `make serve`'s command, with the defaults but for what the environment and larger loads need."""
    code, signals = stage.base if name in (BASE_OFF, BASE_ON) else stage.current, name in (ALL_ON, BASE_ON)
    assert code, "no other revision was checked out"
    port = free_port()
    env = {
        "HOME": str(stage.real.folder),
        "PYTHONPATH": str(code.root),
        "PORT": str(port),
        "METRICS_PORT": str(free_ports(2)),
        "WEB_CONCURRENCY": "1",
        "GROQ_BASE_URL": stage.real.groq.url,
        "GROQ_API_KEY": "any",
        "DATABASE_URL": code.database_url,
        **code.outbox(stage.real.folder / f"outbox, {name}"),
        **stage.settings(signals=signals),
    }
    config = code.root / "deploy" / "gunicorn.conf.py"
    command: list[str | Path] = [code.python, "-m", "gunicorn", "--config", config, *([] if signals else [_BARE])]
    with _running(stage, command, env, port, healthy="/readyz") as pid:
        yield Server(name, port, PATH, pid, database_url=code.database_url if signals else None)


@contextmanager
def _running(
    stage: Stage, command: Sequence[str | Path], env: Mapping[str, str], port: int, *, healthy: str | None = None
) -> Iterator[int]:
    """The pid of a program that listens, and whose path `healthy` answers with 200. Its output is in a file."""
    output = stage.real.folder / f"{port}.log"

    def ready() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended with exit code {process.returncode}:\n{output.read_text()[-2000:]}")
        return _listens(port) and (healthy is None or stage.real.http.get(f"{url}{healthy}").status_code == 200)

    url = f"http://127.0.0.1:{port}"
    with output.open("w") as file:
        process = subprocess.Popen(
            command, cwd=stage.real.folder, env={"PATH": os.defpath, **env}, stdout=file, stderr=file
        )
    try:
        wait_until(ready, f"{command[0]} is not ready")
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        finally:
            process.kill()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


_SERVERS: dict[str, Callable[[Stage], AbstractContextManager[Server]]] = {
    DIRECT: _direct,
    NGINX: _nginx,
    TENSORZERO: _tensorzero,
    **{name: partial(_service, name=name) for name in (ALL_OFF, ALL_ON, BASE_OFF, BASE_ON)},
}
