"""nginx as a relay of the same streams: what a proxy in C costs, which looks at nothing and keeps nothing."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CONFIG = """
worker_processes 1;
worker_rlimit_nofile 16384;
{user}
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
    upstream groq {{ server {upstream}; keepalive 4096; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://groq;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


def installed() -> str | None:
    """Where it is: in the folder `TOOLS_PATH`, on the `PATH`, or where systems put it."""
    folders = [os.environ.get("TOOLS_PATH"), os.environ.get("PATH"), "/usr/sbin", "/usr/local/sbin"]
    return shutil.which("nginx", path=os.pathsep.join(filter(None, folders)))


@contextmanager
def relaying(program: str, folder: Path, *, upstream: str, port: int) -> Iterator[int]:
    """Its pid; `upstream` is `host:port`."""
    folder.mkdir(exist_ok=True)
    config = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # the folder may be root's alone
    config.write_text(_CONFIG.format(folder=folder, upstream=upstream, port=port, user=user))
    process = subprocess.Popen([program, "-p", folder, "-c", config], stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=10)
