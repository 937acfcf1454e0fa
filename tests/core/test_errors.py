"""The tree of errors."""

from typing import Any

import pytest

from app.core.errors import InvalidRequest, PersistenceFailed, ServiceError
from app.core.outcomes import Outcome
from app.core.upstream import UpstreamRejected
from app.services.chat.block import error_event


def every(kind: type[ServiceError]) -> list[type[ServiceError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in every(child))]


@pytest.mark.parametrize("kind", every(ServiceError))
def test_every_error_has_status_code_and_outcome(kind: type[ServiceError]) -> None:
    arguments: dict[type[ServiceError], dict[str, Any]] = {
        UpstreamRejected: {"message": "m", "status": 418},
        PersistenceFailed: {},
    }
    error = kind(**arguments.get(kind, {"message": "m"}))
    assert 400 <= error.status < 600
    assert error.outcome in Outcome
    assert error.envelope()["error"].keys() == {"message", "type", "code", "param"}


def test_error_event_is_one_event_for_any_message() -> None:
    event = error_event(InvalidRequest("two\n\nlines", param="p"))
    assert event.startswith(b"event: error\ndata: {")
    assert event.endswith(b"}\n\n")
    assert event.count(b"\n") == 3
