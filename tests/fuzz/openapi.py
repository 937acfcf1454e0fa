"""Requests that the API's OpenAPI document allows, and requests that it does not allow."""

from functools import partial
from typing import Any

import requests
import schemathesis
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
from tests.fuzz.tally import TIMEOUT_S, Tally, for_each
from tests.fuzz.target import Target

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def run(target: Target, *, cases: int, seed: int) -> Tally:
    """Half of the cases are valid. An operation without parameters has one case."""
    tally = Tally("OpenAPI (schemathesis)")
    schema = schemathesis.openapi.from_url(f"{target.url}/openapi.json")
    for result in schema.get_all_operations():
        assert not isinstance(result, Err), result
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            inputs = result.ok().as_strategy(generation_mode=mode)
            try:
                for_each(inputs, partial(_send, tally), cases=max(1, cases // 2), seed=seed)
            except Unsatisfiable:
                continue  # the operation has no invalid request
    return tally


def _send(tally: Tally, case: Case[Any]) -> None:
    _make_acceptable(case.body)
    with tally.timed():
        try:
            response = case.call(timeout=TIMEOUT_S)
        except requests.Timeout:
            tally.add_timeout(case.as_curl_command())
            return
        except requests.RequestException as exc:
            tally.add_violation(f"{exc}: {case.as_curl_command()}")
            return
        tally.add_statuses([response.status_code], case.as_curl_command())
        try:
            case.validate_response(response, checks=_CHECKS)
        except (Failure, FailureGroup) as exc:
            tally.add_violation(exc)


def _make_acceptable(body: Any) -> None:
    """In half of the bodies, replaces generated names of models and properties, which the provider refuses."""
    if not isinstance(body, dict) or len(body) % 2 == 0:
        return
    if isinstance(body.get("model"), str):
        body["model"] = "openai/gpt-oss-20b"
    for name in body.keys() - PROPERTIES:
        del body[name]
    for message in body["messages"] if isinstance(body.get("messages"), list) else []:
        for name in message.keys() - {"role", "content"} if isinstance(message, dict) else ():
            del message[name]
