"""A running Alertmanager with the routes of deploy/, and a receiver of its notifications."""

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2

from tests.support.processes import PROJECT
from tests.support.prometheus import parse
from tests.support.tools import tool
from tests.support.waiting import wait_until

CONFIG = PROJECT / "deploy" / "alertmanager" / "alertmanager.yml"
_ADDRESS = re.compile(r'"Listening on".* address=(127\.0\.0\.1:\d+)')


class Alertmanager:
    """`notifications` are those that its receivers got: the receiver's name and the names of the alerts."""

    def __init__(self) -> None:
        self.url = ""
        self.notifications: list[tuple[str, list[str]]] = []

    def send(self, *alerts: dict[str, str]) -> None:
        """Sends alerts, as labels, as Prometheus does."""
        body = [{"labels": labels} for labels in alerts]
        httpx2.post(f"{self.url}/api/v2/alerts", json=body, trust_env=False).raise_for_status()

    def received(self, alert: str) -> list[tuple[str, list[str]]]:
        """All notifications, once one has that alert."""

        def found() -> bool:
            return any(alert in alerts for _, alerts in list(self.notifications))

        wait_until(found, f"no notification of {alert}")
        return list(self.notifications)


@contextmanager
def alertmanager(folder: Path) -> Iterator[Alertmanager]:
    """Alertmanager with the configuration of deploy/: its receivers are here, and groups wait one second."""
    running = Alertmanager()
    with _receiving(running) as receiver:
        config, output = folder / "alertmanager.yml", folder / "alertmanager.log"
        config.write_text(json.dumps(_config(receiver)))
        command: list[str | Path] = [
            *(tool("prometheus-alertmanager", "alertmanager"), f"--config.file={config}", "--cluster.listen-address="),
            *(f"--storage.path={folder / 'data'}", "--web.listen-address=127.0.0.1:0"),
        ]
        with output.open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                running.url = wait_until(lambda: _url(process, output), "Alertmanager is not ready")
                yield running
            finally:
                process.kill()


def _config(receiver: str) -> dict[str, Any]:
    config: dict[str, Any] = parse(CONFIG)
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "1s"}
    for each in config["receivers"]:
        each["webhook_configs"] = [{"url": receiver}]
    return config


def _url(process: subprocess.Popen[bytes], output: Path) -> str:
    assert process.poll() is None, output.read_text()
    found = _ADDRESS.search(output.read_text())
    return (
        f"http://{found[1]}" if found and httpx2.get(f"http://{found[1]}/-/ready", trust_env=False).is_success else ""
    )


@contextmanager
def _receiving(running: Alertmanager) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
            running.notifications.append((sent["receiver"], sorted(a["labels"]["alertname"] for a in sent["alerts"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
