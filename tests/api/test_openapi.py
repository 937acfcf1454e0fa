"""The OpenAPI schema."""

from tests.support.service import DROP_IN, PATH, Service

STORED = {f"{DROP_IN}/{{completion_id}}", f"{DROP_IN}/{{completion_id}}/messages"}


def test_schema_describes_requests_responses_and_errors(service: Service) -> None:
    schema = service.http.get(f"{service.url}/openapi.json").raise_for_status().json()
    operation = schema["paths"][PATH]["post"]
    assert "text/event-stream" in operation["responses"]["200"]["content"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/StreamRequest")
    assert "422" not in operation["responses"]
    for status in ("400", "408", "413", "429", "431", "4XX", "500", "502", "503", "504"):
        error = operation["responses"][status]["content"]["application/json"]["schema"]
        assert set(error["properties"]["error"]["required"]) == {"message", "type", "code", "param"}
    assert {"/healthz", "/readyz"} <= set(schema["paths"])


def test_schema_has_a_security_scheme_only_with_api_keys(service: Service, compat: Service) -> None:
    """Without it, /docs cannot send a key."""
    described = compat.http.get(f"{compat.url}/openapi.json").json()
    [(name, scheme)] = described["components"]["securitySchemes"].items()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    secured = {
        path for path, operations in described["paths"].items() for each in operations.values() if "security" in each
    }
    assert secured == {PATH, DROP_IN, *STORED, "/v1/models", "/v1/models/{model}"}
    assert described["paths"][PATH]["post"]["security"] == [{name: []}]
    assert "securitySchemes" not in service.http.get(f"{service.url}/openapi.json").text


def test_no_endpoint_reads_a_body_of_any_size(service: Service) -> None:
    """One that does not read it as the chats do needs FastAPI's `max_body_size`."""
    described = service.http.get(f"{service.url}/openapi.json").json()["paths"]
    with_body = [
        (path, method) for path in described for method in described[path] if "requestBody" in described[path][method]
    ]
    assert {PATH, DROP_IN} <= {path for path, _ in with_body}
    headers = {"content-type": "application/json"}
    for path, method in with_body:
        pieces = (b" " * 2**18 for _ in range(20))  # 5 MiB, without a content-length
        response = service.http.request(method, service.url + path, content=pieces, headers=headers)
        assert response.status_code == 413, path
