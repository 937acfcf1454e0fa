"""What is measured: each is started for its runs, with one worker on a core of its own, and stopped after them."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from loadtests.bench.stage import SERVER_CORES, Stage, pinned
from tests.support.ports import free_port
from tests.support.service import PATH
from tests.support.waiting import wait_until

DIRECT, NGINX, ALL_OFF, ALL_ON = "direct", "nginx", "all off", "all on"
_COMPLETIONS = "/openai/v1/chat/completions"
_APPS = {ALL_OFF: "loadtests.bench.bare:create_app()", ALL_ON: ""}
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


@dataclass(frozen=True)
class Server:
    """`pid` is the root of its processes; `direct` has none. With `signals`, its rows and spans are counted."""

    name: str
    port: int
    path: str
    pid: int | None = None
    signals: bool = False


@contextmanager
def started(stage: Stage, name: str) -> Iterator[Server]:
    """Ready to answer."""
    with pinned(SERVER_CORES):
        starting = _SERVERS[name](stage)
        server = starting.__enter__()
    try:
        yield server
    finally:
        starting.__exit__(None, None, None)


def nginx() -> str | None:
    """The program, where it is installed: in the folder `TOOLS_PATH`, on the `PATH`, or where systems put it."""
    folders = [os.environ.get("TOOLS_PATH"), os.environ.get("PATH"), "/usr/sbin", "/usr/local/sbin"]
    return shutil.which("nginx", path=os.pathsep.join(filter(None, folders)))


def _direct(stage: Stage) -> AbstractContextManager[Server]:
    return nullcontext(Server(DIRECT, urlsplit(stage.real.groq.url).port or 0, _COMPLETIONS))


@contextmanager
def _nginx(stage: Stage) -> Iterator[Server]:
    folder, port = stage.real.folder / "nginx", free_port()
    folder.mkdir(exist_ok=True)
    user = "user root;" if os.geteuid() == 0 else ""  # the folder may be root's alone
    config, upstream = folder / "nginx.conf", urlsplit(stage.real.groq.url).netloc
    config.write_text(_NGINX.format(folder=folder, upstream=upstream, port=port, user=user))
    process = subprocess.Popen([nginx() or "nginx", "-p", folder, "-c", config], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _open(port), "nginx does not listen")
        yield Server(NGINX, port, _COMPLETIONS, process.pid)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _service(stage: Stage, name: str) -> Iterator[Server]:
    app, settings = _APPS[name], stage.settings(signals=name == ALL_ON)
    with stage.real.service(settings, workers=1, app=app, fresh=True) as running:
        port, http = urlsplit(running.url).port or 0, stage.real.http
        wait_until(lambda: _open(port) and http.get(f"{running.url}/readyz").status_code == 200, "not ready")
        yield Server(name, port, PATH, running.program.pid, signals=name == ALL_ON)


def _open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


_SERVERS: dict[str, Callable[[Stage], AbstractContextManager[Server]]] = {
    DIRECT: _direct,
    NGINX: _nginx,
    ALL_OFF: partial(_service, name=ALL_OFF),
    ALL_ON: partial(_service, name=ALL_ON),
}
"""A server of another revision of this service is one more of these."""
