"""Settings that restrict clients: messages, models, origins, the docs page."""

import re
from collections.abc import Iterator

import pytest

from app.core.config import Settings
from app.core.http_settings import MOST_MESSAGES
from tests.support.service import HELLO, PATH, Service, SimulatedGroq, service_before

MESSAGE = {"role": "user", "content": "Hello"}
PAGE = "https://page.example"
KEY = {"authorization": "Bearer a-key"}


@pytest.fixture(scope="module")
def restricted_process(groq_process: SimulatedGroq, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("restricted")
    settings = {
        "API_KEYS": "me:a-key",
        "API_DOCS": "false",
        "MAX_MESSAGES": "3",
        "ALLOWED_MODELS": "llama-3.3-8b-instant, openai/gpt-oss-120b",
        "CORS_ALLOW_ORIGINS": PAGE,
        "QUOTA_REQUESTS_PER_MINUTE": "100000",
    }
    with service_before(groq_process, folder, settings) as running:
        yield running


@pytest.fixture
def restricted(restricted_process: Service, groq: SimulatedGroq) -> Service:
    return restricted_process


def test_too_many_messages_are_refused(restricted: Service, service: Service) -> None:
    assert restricted.chat({"messages": [MESSAGE] * 3}, headers=KEY).done
    refused = restricted.chat({"messages": [MESSAGE] * 4}, headers=KEY)
    assert (refused.status, refused.error["param"]) == (400, "messages")
    assert refused.error["message"] == "messages: 4 are more than 3; leave the oldest ones out"
    beyond = service.chat(content=b'{"messages":[' + b",".join([b'{"role":"user"}'] * (MOST_MESSAGES // 2)) + b"]}")
    assert (beyond.status, beyond.error["param"]) == (400, "messages")


@pytest.mark.parametrize("model", ["llama-3.3-8b-instant", "openai/gpt-oss-20b", "openai/gpt-oss-120b", None])
def test_allowed_model_is_accepted_by_name_and_alias(restricted: Service, model: str | None) -> None:
    assert restricted.chat(HELLO | ({"model": model} if model else {}), headers=KEY).done


def test_only_allowed_models_are_listed(restricted: Service) -> None:
    listed = restricted.http.get(f"{restricted.url}/v1/models", headers=KEY).json()["data"]
    names = [model["id"] for model in listed]
    assert names == ["openai/gpt-oss-120b", "openai/gpt-oss-20b"]
    assert restricted.http.get(f"{restricted.url}/v1/models/qwen/qwen3.6-27b", headers=KEY).status_code == 404


def test_other_models_are_refused_without_a_request_to_groq(restricted: Service, groq: SimulatedGroq) -> None:
    before = groq.seen()["requests"]
    refused = restricted.chat(HELLO | {"model": "qwen/qwen3.6-27b"}, headers=KEY)
    assert refused.status == 404
    assert refused.error == {
        "message": "The model `qwen/qwen3.6-27b` does not exist or you do not have access to it.",
        "type": "invalid_request_error",
        "code": "model_not_found",
        "param": "model",
    }
    assert groq.seen()["requests"] == before


def test_default_and_fallback_models_must_be_allowed() -> None:
    for wrong, words in (
        ({"allowed_models": "openai/gpt-oss-120b"}, "'openai/gpt-oss-20b' has to be one of them, as GROQ_DEFAULT_"),
        ({"allowed_models": "llama-3.3-8b-instant", "groq_fallback_model": "other"}, "'other' has to be one of them"),
        ({"allowed_models": "a,,b"}, "use names, separated by commas"),
    ):
        with pytest.raises(ValueError, match=words):
            Settings.model_validate(wrong)


def test_allowed_origin_may_read_streams_errors_and_headers(restricted: Service) -> None:
    preflight = restricted.http.request(
        "OPTIONS",
        restricted.url + PATH,
        headers={
            "origin": PAGE,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type,x-stainless-lang",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == PAGE
    completed = restricted.chat(HELLO, headers=KEY | {"origin": PAGE})
    refused = restricted.chat(HELLO, headers={"origin": PAGE})
    assert (completed.done, refused.status) == (True, 401)
    for reply in (completed, refused):
        assert reply.headers["access-control-allow-origin"] == PAGE
        exposed = reply.headers["access-control-expose-headers"].split(", ")
        assert {"x-request-id", "retry-after", "x-ratelimit-remaining-requests"} <= set(exposed)
    assert "x-ratelimit-remaining-requests" in completed.headers


@pytest.mark.parametrize("origin", ["https://other.example", "null", f"{PAGE}.evil.example"])
def test_other_origins_are_not_allowed(restricted: Service, service: Service, origin: str) -> None:
    """Without the setting no origin is allowed."""
    for each in (restricted, service):
        preflight = {"origin": origin, "access-control-request-method": "POST"}
        assert each.http.request("OPTIONS", each.url + PATH, headers=preflight).status_code in {400, 405}
        assert "access-control-allow-origin" not in each.chat(HELLO, headers=KEY | {"origin": origin}).headers


@pytest.mark.parametrize("origin", ["example.org", "https://example.org/", "https://a@b", "ftp://a", "a,,b"])
def test_invalid_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="separated by commas"):
        Settings.model_validate({"cors_allow_origins": origin})


def test_docs_page_allows_only_the_scripts_that_it_loads(service: Service) -> None:
    page = service.http.get(f"{service.url}/docs")
    assert page.status_code == 200
    policy = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy["script-src"]
    assert policy["script-src"].count("'sha256-") == len(re.findall("<script>", page.text)) == 1
    others = [
        each for name in ("script-src", "style-src") for each in policy[name].split() if each.startswith("https:")
    ]
    assert others == re.findall(r'(?:<script src|rel="stylesheet" href)="([^"]+)"', page.text)[::-1] != []
    assert all(each.endswith((".js", ".css")) for each in others)  # no host, and no folder
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"


def test_docs_can_be_disabled_and_are_off_in_production(restricted: Service) -> None:
    for path in ("/docs", "/openapi.json", "/redoc"):
        missing = restricted.http.get(restricted.url + path)
        assert missing.status_code == 404
        assert "/docs lists" not in missing.json()["error"]["message"]
    assert [Settings.model_validate(each).shows_docs for each in ({}, {"app_env": "production"})] == [True, False]
    assert Settings.model_validate({"app_env": "production", "api_docs": "true"}).shows_docs
    assert "/docs" not in restricted.program.output
