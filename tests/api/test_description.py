"""The API's own description."""

from tests.support.service import DROP_IN, PATH, Service


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


def test_where_keys_are_asked_for_the_description_says_where_and_how(service: Service, drop_in: Service) -> None:
    """Or the page at /docs has no place for one, and nothing on it works."""
    described = drop_in.http.get(f"{drop_in.url}/openapi.json").json()
    [(name, scheme)] = described["components"]["securitySchemes"].items()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    asked = {
        path for path, operations in described["paths"].items() for each in operations.values() if "security" in each
    }
    assert asked == {PATH, DROP_IN, "/v1/models", "/v1/models/{model}"}
    assert described["paths"][PATH]["post"]["security"] == [{name: []}]
    assert "securitySchemes" not in service.http.get(f"{service.url}/openapi.json").text
