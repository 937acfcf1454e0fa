"""The service as `make run` starts it without a key, with a simulator that the tests control, and a browser."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import chromium, opened
from tests.support.processes import program
from tests.support.service import Service, SimulatedGroq


def demo_env(groq: SimulatedGroq, folder: Path) -> dict[str, str]:
    return {
        "DATABASE_URL": f"sqlite+aiosqlite:///{folder}/chats.db",
        "GROQ_SIMULATOR_URL": groq.url,
        "PORT": "0",
        "PAGE_TRACE_URL": "http://127.0.0.1:16686/trace/{trace_id}",
        "PAGE_ROW_URL": "http://127.0.0.1:3000/d/chat-chats?var-id={id}",
    }


@pytest.fixture(scope="session")
def demo_process(
    groq_process: SimulatedGroq, http: httpx2.Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("demo")
    env = demo_env(groq_process, folder)
    with program(["app"], cwd=folder, env=env) as running:
        yield Service(running.url(), running, env["DATABASE_URL"], http)


@pytest.fixture
def demo(demo_process: Service, groq: SimulatedGroq) -> Service:
    """With a simulator without faults."""
    return demo_process


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ends with the module: while it runs, this thread has an event loop, and no other can run in it."""
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser, demo: Service) -> Iterator[Page]:
    """The page of the demo. Checks at the end that the console is empty and that no other host was contacted."""
    with opened(browser, demo.url) as (page, seen):
        yield page
        assert seen.complaints == []
        assert seen.hosts == {demo.url.removeprefix("http://")}
