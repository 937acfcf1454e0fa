"""Whether the service lives, and whether it should be sent chats."""

from tests.support.service import Service


def test_a_service_that_is_well_says_so(service: Service) -> None:
    assert service.http.get(f"{service.url}/healthz").json() == {"status": "ok"}
    ready = service.http.get(f"{service.url}/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "database": "up"})
    assert ready.headers["x-request-id"]
