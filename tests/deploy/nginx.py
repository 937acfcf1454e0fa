"""A real nginx with deploy/nginx/site.conf; the test changes only addresses and paths."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.support.ports import free_port
from tests.support.processes import PROJECT
from tests.support.tools import tool

SITE = PROJECT / "deploy" / "nginx" / "site.conf"
_MAIN = """
{user}
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log info;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""
_START_S = 10


@dataclass(frozen=True)
class Nginx:
    url: str
    folder: Path
    pid: int

    def connections(self, upstream: str) -> set[int]:
        """Local ports of nginx's open connections to the URL."""
        port = urlsplit(upstream).port
        workers = psutil.Process(self.pid).children()
        connections = [
            each for worker in workers for each in worker.net_connections("tcp4") if each.status == "ESTABLISHED"
        ]
        return {each.laddr.port for each in connections if each.raddr.port == port}

    @property
    def errors(self) -> str:
        return (self.folder / "error.log").read_text()

    def logged(self, words: str) -> str:
        """The line of the access log that contains `words`. nginx writes it at the end of the response."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            for line in (self.folder / "access.log").read_text().splitlines():
                if words in line:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"the access log has no line with {words}")


def _replaced(text: str, old: str, new: str) -> str:
    replaced, count = re.subn(rf"^( *){re.escape(old)}", rf"\g<1>{new}", text, flags=re.MULTILINE)
    assert count == 1, f"{old!r} occurs {count} times in {SITE.name}"
    return replaced


@contextmanager
def nginx(folder: Path, upstream: str, *, with_page: bool = False) -> Iterator[Nginx]:
    """Runs nginx in front of the URL `upstream`; at the end it prints the error log.

    `with_page` activates the commented location, which also serves the page and the API docs.
    """
    folder.mkdir()
    port = free_port()
    site = SITE.read_text()
    site = _replaced(site, "server 127.0.0.1:8000;", f"server {urlsplit(upstream).netloc};")
    site = _replaced(site, "listen 80 ", f"listen 127.0.0.1:{port} ")
    site = _replaced(site, "access_log /var/log/nginx/chat.log", f"access_log {folder}/access.log")
    if with_page:
        site, count = re.subn(r"# +(location ~ .*\n) +location ~ .*\n", r"\1", site)
        assert count == 1
    (folder / "site.conf").write_text(site)
    config = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # only root may read the folder
    config.write_text(_MAIN.format(folder=folder, user=user))
    process = subprocess.Popen([tool("nginx"), "-p", folder, "-c", config, "-e", folder / "error.log"])
    try:
        _wait_until_listening(process, port)
        yield Nginx(f"http://127.0.0.1:{port}", folder, process.pid)
    finally:
        process.terminate()
        process.wait(timeout=_START_S)
        print((folder / "error.log").read_text())


def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        assert process.poll() is None, "nginx did not start"
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "nginx does not listen"
            time.sleep(0.02)
        else:
            return
