"""Who is measured: each is started for its runs, as one worker on one core, and stopped after them."""

import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from loadtests.bench import litellm, nginx
from loadtests.bench.machine import children_on
from loadtests.bench.stage import Stage
from tests.support.ports import free_port
from tests.support.processes import program
from tests.support.service import PATH
from tests.support.serving import Workers, serving

DIRECT, NGINX, ALL_OFF, ALL_ON, PLAIN, LITELLM = "direct", "nginx", "all off", "all on", "plain", "LiteLLM"
_COMPLETIONS = "/openai/v1/chat/completions"
_START_S = 60


@dataclass(frozen=True)
class Contender:
    """`pid` is the root of its processes; `direct` has none. `service` is the one whose rows and spans are counted."""

    name: str
    port: int
    path: str
    pid: int | None = None
    service: Workers | None = None


@contextmanager
def started(
    stage: Stage, name: str, *, workers: int = 1, cores: Sequence[int] | None = None
) -> Iterator[Contender | None]:
    """Ready to answer; None for an nginx or a LiteLLM that is not installed."""
    with ExitStack() as stack:
        with children_on(cores or stage.cores.server, back_on=stage.cores.ends):
            contender = stack.enter_context(_start(stage, name, workers))
        yield contender


def _start(stage: Stage, name: str, workers: int) -> AbstractContextManager[Contender | None]:
    match name:
        case "direct":
            return _direct(stage)
        case "nginx":
            return _nginx(stage)
        case "plain":
            return _plain(stage)
        case "LiteLLM":
            return _litellm(stage)
        case _:
            return _service(stage, name, workers)


@contextmanager
def _direct(stage: Stage) -> Iterator[Contender]:
    yield Contender(DIRECT, urlsplit(stage.upstream_url).port or 0, _COMPLETIONS)


@contextmanager
def _nginx(stage: Stage) -> Iterator[Contender | None]:
    if not (found := nginx.installed()):
        yield None
        return
    port = free_port()
    upstream = urlsplit(stage.upstream_url).netloc
    with nginx.relaying(found, stage.folder / "nginx", upstream=upstream, port=port) as pid:
        _wait_until_open(port)
        yield Contender(NGINX, port, _COMPLETIONS, pid)


@contextmanager
def _plain(stage: Stage) -> Iterator[Contender]:
    port = free_port()
    env = {"OPENAI_BASE_URL": stage.upstream_url, "OPENAI_API_KEY": "any"}
    command = ["uvicorn", "loadtests.bench.plain:app", "--port", str(port), "--no-access-log"]
    log = (stage.folder / "plain.log").write_text
    with program(command, cwd=stage.folder, env=env, stop_with=signal.SIGTERM, show=log) as running:
        _wait_until_open(port)
        yield Contender(PLAIN, port, "/chat", running.pid)


@contextmanager
def _litellm(stage: Stage) -> Iterator[Contender | None]:
    if not (found := litellm.installed()):
        yield None
        return
    port = free_port()
    with litellm.relaying(found, stage.folder / "litellm", upstream=stage.upstream_url, port=port) as pid:
        _wait_until_open(port)
        yield Contender(LITELLM, port, "/v1/chat/completions", pid)


@contextmanager
def _service(stage: Stage, name: str, workers: int) -> Iterator[Contender]:
    whole = name == ALL_ON
    with serving(
        stage.folder,
        stage.http,
        settings(stage, signals=whole),
        database_url=stage.database_url,
        workers=workers,
        app="" if whole else "loadtests.bench.bare:create_app()",
        metered=whole,
        show=(stage.folder / f"{name.replace(' ', '-')}.log").write_text,
    ) as running:
        port = urlsplit(running.url).port or 0
        _wait_until_open(port)
        if whole:
            stage.scrape(*range(running.metrics_base, running.metrics_base + workers))
        yield Contender(name, port, PATH, running.program.pid, running if whole else None)
    stage.scrape()


def settings(stage: Stage, *, signals: bool) -> Mapping[str, str]:
    """The defaults, but for limits that the larger loads would meet, and for spans that need not be waited for long."""
    service = {
        "GROQ_BASE_URL": stage.upstream_url,
        "GROQ_API_KEY": "any",
        "SPOOL_DIR": str(stage.folder / "spool"),
        "SPOOL_MAX_BYTES": str(2**33),
        "MAX_ACTIVE_STREAMS": "4096",
        "LOG_FORMAT": "json",
    }
    traces = {
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_EXPORTER_OTLP_ENDPOINT": stage.receiver_url,
        "OTEL_BSP_SCHEDULE_DELAY": "2000",
    }
    return service | traces if signals else service


def _wait_until_open(port: int) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"nobody listens on port {port}")
