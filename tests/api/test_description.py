"""The API's own description."""

from tests.support.service import PATH, Service


def test_the_description_says_what_is_sent_and_what_comes_back(service: Service) -> None:
    """The page at /docs is empty without it."""
    description = service.http.get(f"{service.url}/openapi.json").raise_for_status().json()
    operation = description["paths"][PATH]["post"]
    assert "text/event-stream" in operation["responses"]["200"]["content"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/StreamRequest")
    assert "422" not in operation["responses"]
    for status in ("400", "408", "413", "429", "431", "4XX", "500", "502", "503", "504"):
        schema = operation["responses"][status]["content"]["application/json"]["schema"]
        assert set(schema["properties"]["error"]["required"]) == {"message", "type", "code", "param"}
    assert {"/healthz", "/readyz"} <= set(description["paths"])
