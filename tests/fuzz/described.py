"""Requests made from the API's own description: those that it allows, and those that it does not."""

from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Err
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.simulator.request import PROPERTIES
from tests.fuzz.tally import HANG_S, Tally
from tests.fuzz.target import Target

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def run(target: Target, *, cases: int, seed: int) -> Tally:
    """Half of the cases keep to the description, half do not; an endpoint without parameters has one case in all."""
    tally = Tally("described (schemathesis)")
    schema = schemathesis.openapi.from_url(f"{target.url}/openapi.json")
    for result in schema.get_all_operations():
        assert not isinstance(result, Err), result
        operation = result.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            settings = hypothesis.settings(
                max_examples=max(1, cases // 2),
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )

            @hypothesis.seed(seed)
            @settings
            @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
            def send(case: Case[Any]) -> None:
                with tally.one():
                    _send(case, tally)

            try:
                send()
            except Unsatisfiable:
                continue  # nothing about it can be wrong
    return tally


def _send(case: Case[Any], tally: Tally) -> None:
    _keep_what_groq_knows(case.body)
    try:
        response = case.call(timeout=HANG_S)
    except requests.Timeout:
        tally.hung(case.as_curl_command())
        return
    except requests.RequestException as exc:
        tally.broke(f"{exc}: {case.as_curl_command()}")
        return
    tally.answered([response.status_code], case.as_curl_command())
    try:
        case.validate_response(response, checks=_CHECKS)
    except (Failure, FailureGroup) as exc:
        tally.broke(exc)


def _keep_what_groq_knows(body: Any) -> None:
    """Now and then: the strings that come to its mind name no model and no property, and Groq refuses those first."""
    if not isinstance(body, dict) or len(body) % 2 == 0:
        return
    if isinstance(body.get("model"), str):
        body["model"] = "openai/gpt-oss-20b"
    for name in body.keys() - PROPERTIES:
        del body[name]
    for message in body["messages"] if isinstance(body.get("messages"), list) else []:
        for name in message.keys() - {"role", "content"} if isinstance(message, dict) else ():
            del message[name]
