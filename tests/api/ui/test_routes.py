"""The page's endpoints and their authorization. The service has API keys, and takes the simulator for Groq."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from playwright.sync_api import Browser, expect
from starlette.requests import Request

from app.api.auth import ApiKeys
from app.api.ui.faults import inject_fault
from app.core.config import Settings
from app.core.upstream import UpstreamUnreachable
from tests.support.browser import opened
from tests.support.processes import program
from tests.support.service import HELLO, Service, SimulatedGroq, service_before

MINE, THEIRS = {"authorization": "Bearer my-key"}, {"authorization": "Bearer their-key"}


@pytest.fixture(scope="module")
def locked_process(groq_process: SimulatedGroq, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("locked")
    settings = {
        "API_KEYS": "me:my-key,they:their-key",
    }
    with service_before(groq_process, folder, settings) as running:
        yield running


@pytest.fixture
def locked(locked_process: Service, groq: SimulatedGroq) -> Service:
    return locked_process


def test_a_row_is_shown_to_its_client_only(locked: Service) -> None:
    chat = locked.chat({"messages": [{"role": "user", "content": "a secret of mine"}]}, headers=MINE)
    url = f"{locked.url}/page/chats/{chat.id}"
    mine = locked.http.get(url, headers=MINE)
    row = locked.row(chat.id)
    assert set(mine.json()) <= set(row)
    plain = ("trace_id", "outcome", "model_name", "prompt_tokens", "completion_tokens", "attempts", "http_status")
    assert {name: mine.json()[name] for name in plain} == {name: row[name] for name in plain}
    assert [attempt["result"] for attempt in mine.json()["attempt_log"]] == ["ok"]
    assert "a secret of mine" not in mine.text
    assert not {"prompt", "messages", "params", "response", "reasoning", "tool_calls"} & set(mine.json())
    assert locked.http.get(url, headers=THEIRS).json() is None
    assert locked.http.get(f"{locked.url}/page/chats/{uuid4()}", headers=MINE).json() is None
    assert locked.http.get(url).status_code == 401


def test_an_invalid_id_is_refused_with_its_name(locked: Service) -> None:
    refused = locked.http.get(f"{locked.url}/page/chats/mine", headers=MINE)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "chat_id"


def test_the_page_loads_only_its_own_files(locked: Service) -> None:
    page = locked.http.get(locked.url)
    policy = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    own = dict.fromkeys(("script-src", "style-src", "connect-src", "img-src"), "'self'")
    assert policy == dict.fromkeys(policy, "'none'") | own
    assert page.headers["x-content-type-options"] == "nosniff"
    script = locked.http.get(f"{locked.url}/page/page.js")
    assert [each.headers["cache-control"] for each in (page, script)] == ["no-cache"] * 2
    assert " style=" not in page.text
    assert "onclick" not in page.text


async def test_a_simulator_without_an_answer_is_reported() -> None:
    settings = Settings(_env_file=None, groq_simulator_url="http://127.0.0.1:9/openai/v1")
    state = {"settings": settings, "authenticator": ApiKeys(settings.api_keys)}
    with pytest.raises(UpstreamUnreachable, match="no fault was injected"):
        await inject_fault("cut", Request({"type": "http", "headers": [], "state": state}))


def test_faults_are_injected_into_a_simulator_only(locked: Service, groq: SimulatedGroq) -> None:
    about = locked.http.get(f"{locked.url}/page/about").json()
    assert (about["simulated"], about["needs_key"], about["trace_file"]) == (False, True, True)
    assert about["model"] in about["models"]
    assert locked.http.put(f"{locked.url}/page/faults/cut", headers=MINE).status_code == 405
    assert locked.chat(HELLO, headers=MINE).done


def test_an_unknown_fault_is_refused(demo: Service) -> None:
    refused = demo.http.put(f"{demo.url}/page/faults/everything")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "fault")


def test_production_serves_the_page_only_if_it_is_enabled() -> None:
    shown = [{}, {"app_env": "production"}, {"app_env": "production", "page": "true"}, {"page": "false"}]
    assert [Settings.model_validate(each).shows_page for each in shown] == [True, False, True, False]


def test_a_disabled_page_has_no_endpoints(http: httpx2.Client, groq: SimulatedGroq, tmp_path: Path) -> None:
    env = {"GROQ_SIMULATOR_URL": groq.url, "PORT": "0", "PAGE": "false"}
    with program(["app"], cwd=tmp_path, env=env) as running:
        for path in ("/", "/page/about", "/page/page.js", f"/page/chats/{uuid4()}"):
            assert http.get(running.url() + path).status_code == 404


@pytest.mark.needs("chromium")
def test_a_prompt_waits_until_a_valid_key_is_entered(browser: Browser, locked: Service) -> None:
    with opened(browser, locked.url) as (page, _):
        assert not page.get_by_role("group", name="Send the prompt").is_visible()
        key, prompt, badge = page.get_by_label("API key"), page.get_by_label("Prompt"), page.locator("#details .badge")
        prompt.fill("Hello")
        page.keyboard.press("Enter")
        expect(key).to_be_focused()
        expect(page.locator("#key-message")).to_contain_text("Type a key")
        page.keyboard.type("no-key")
        page.keyboard.press("Enter")
        expect(badge).to_have_text("refused")
        expect(page.locator("#key-message")).to_contain_text("The service refused this key")
        expect(key).to_be_focused()
        expect(prompt).to_have_value("Hello")
        page.keyboard.type("my-key")
        page.keyboard.press("Enter")
        expect(badge).to_have_text("completed")
        assert locked.row(page.locator("#details .fact.id dd").inner_text())["client"] == "me"
        assert page.get_by_role("article").count() == 2


@pytest.mark.needs("chromium")
def test_the_list_sends_a_refused_key_once(browser: Browser, locked: Service) -> None:
    with opened(browser, f"{locked.url}/#chats") as (page, _):
        page.clock.install()
        refused: list[str] = []
        page.on("response", lambda response: refused.append(response.url) if response.status == 401 else None)
        page.keyboard.type("no-key")
        page.keyboard.press("Enter")
        expect(page.locator("#key-message")).to_contain_text("The service refused this key")
        page.clock.run_for(10_000)
        page.keyboard.type("my-key")
        page.keyboard.press("Enter")
        expect(page.locator("#live")).to_contain_text("Live")
        assert len(refused) == 2, "of the stored and of the running chats"


@pytest.mark.needs("chromium")
def test_an_unreachable_service_is_reported(browser: Browser, demo: Service) -> None:
    with opened(browser, demo.url) as (page, _):
        page.route("**/api/v1/chat/stream", lambda route: route.abort())
        page.get_by_label("Prompt").fill("Hello")
        page.keyboard.press("Enter")
        expect(page.get_by_role("log")).to_contain_text("The service cannot be reached.")
        expect(page.locator("#details .badge")).to_have_text("not sent")
        expect(page.get_by_role("button", name="Send")).to_be_enabled()
