"""The HTTP endpoints: Groq's, and those that control the simulator.

POST /openai/v1/chat/completions    streaming and not
GET  /openai/v1/models              the list
GET, PUT, DELETE /faults            the script of failures, see `faults.py`; DELETE also empties the prompt cache
PUT  /limits                        {"openai/gpt-oss-20b": {"tokens_per_minute": 12000}}; other models: the defaults
GET  /seen                          counts of chats, lists of models and clients that left, and the last chat's request
"""

import asyncio
import json
import secrets
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from app.simulator.answers import compose, count_tokens
from app.simulator.faults import Fault, FaultPlan, FaultScript
from app.simulator.json_values import SchemaError
from app.simulator.limits import Limits, PromptCache, RateLimit
from app.simulator.models import MODELS
from app.simulator.request import check_key, checked_body
from app.simulator.responses import (
    FaultyResponse,
    WhileConnected,
    body_response,
    scripted_response,
    stream_events,
    whole_response,
)
from app.simulator.wire import ChunkWriter, Refused

_DEFAULT_BUDGET_TOKENS = 256
_LIMITS_BY_MODEL = TypeAdapter(dict[str, Limits])


class Simulator:
    """One simulated Groq: its faults, rate limits and prompt cache, and what it has seen."""

    def __init__(self, limits: Limits, tokens_per_s: float | None) -> None:
        self._tokens_per_s = tokens_per_s
        self._faults = FaultPlan()
        self._default_limits = limits
        self._limits = self._full_buckets({})
        self._cache = PromptCache()
        self._seen: dict[str, Any] = {"requests": 0, "model_lists": 0, "left": 0, "last_request": None}

    def routes(self) -> list[Route]:
        return [
            Route("/openai/v1/chat/completions", self.chat_completions, methods=["POST"]),
            Route("/openai/v1/models", self.models),
            Route("/faults", self.faults, methods=["GET", "PUT", "DELETE"]),
            Route("/limits", self.limits, methods=["PUT"]),
            Route("/seen", self.seen),
        ]

    async def chat_completions(self, request: Request) -> ASGIApp:
        self._count("requests")
        headers = _headers()
        try:
            body = await checked_body(request)
        except Refused as refused:
            return refused.response(headers)
        self._seen["last_request"] = {"headers": dict(request.headers), "body": body}
        return WhileConnected(lambda: _or_refusal(self._answer(body, headers), headers), lambda: self._count("left"))

    async def _answer(self, body: dict[str, Any], headers: dict[str, str]) -> Response:
        model = MODELS[body["model"]]
        if self._tokens_per_s is not None:
            model = replace(model, tokens_per_s=self._tokens_per_s)
        fault = self._faults.next(model.name)
        await asyncio.sleep(fault.first_byte_delay_s)
        cached_tokens = self._cache.cached_tokens(body) if model.caches_prompts else 0
        budget = body.get("max_completion_tokens") or body.get("max_tokens") or _DEFAULT_BUDGET_TOKENS
        limit = self._limits[model.name]
        try:
            limit.take(count_tokens(body["messages"]) + budget, cached=cached_tokens)
        finally:
            headers.update(limit.headers())
        if response := scripted_response(fault, headers):
            return response
        if model.caches_prompts:
            self._cache.remember(body)
        try:
            answer = compose(body, model, fault, cached_tokens)
        except SchemaError as exc:
            raise Refused(400, str(exc)) from exc  # our words
        if not body.get("stream"):
            return await whole_response(body, answer, model, fault, headers)
        writer = ChunkWriter(
            model,
            request_id=headers["x-request-id"],
            include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
            patch_every=fault.patch_every,
            patch=fault.patch,
        )
        source = stream_events(writer, answer, model, fault, body.get("seed"))
        return FaultyResponse(source, fault, headers, content_type="text/event-stream")

    async def models(self, request: Request) -> ASGIApp:
        try:
            check_key(request)
        except Refused as refused:
            return refused.response(_headers())
        self._count("model_lists")
        fault = self._faults.next(None, "models")
        return WhileConnected(lambda: _list_models(fault), lambda: self._count("left"))

    async def faults(self, request: Request) -> JSONResponse:
        try:
            if request.method == "PUT":
                self._faults.load(FaultScript.model_validate_json(await request.body()))
            elif request.method == "DELETE":
                self._faults.load(FaultScript())
                self._cache.forget()
        except ValidationError as exc:
            return _unprocessable(exc)
        return JSONResponse(self._faults.report())

    async def limits(self, request: Request) -> JSONResponse:
        try:
            limits = _LIMITS_BY_MODEL.validate_json(await request.body())
        except ValidationError as exc:
            return _unprocessable(exc)
        if unknown := set(limits) - set(MODELS):
            return JSONResponse({"error": f"no such model: {', '.join(sorted(unknown))}"}, 422)
        self._limits = self._full_buckets(limits)
        return JSONResponse({name: each.model_dump() for name, each in limits.items()})

    async def seen(self, _: Request) -> JSONResponse:
        return JSONResponse(self._seen)

    def _full_buckets(self, by_model: dict[str, Limits]) -> dict[str, RateLimit]:
        return {name: RateLimit(name, by_model.get(name, self._default_limits)) for name in MODELS}

    def _count(self, what: str) -> None:
        self._seen[what] += 1


async def _or_refusal(response: Awaitable[Response], headers: dict[str, str]) -> Response:
    try:
        return await response
    except Refused as refused:
        return refused.response(headers)


async def _list_models(fault: Fault) -> Response:
    await asyncio.sleep(fault.first_byte_delay_s)
    headers = _headers()
    if response := scripted_response(fault, headers):
        return response
    body = json.dumps({"object": "list", "data": [model.entry() for model in MODELS.values()]})
    return body_response(body.encode(), fault, headers)


def _headers() -> dict[str, str]:
    return {
        "x-request-id": f"req_{secrets.token_hex(13)}",
        "cache-control": "private, max-age=0, no-store, no-cache, must-revalidate",
    }


def _unprocessable(exc: ValidationError) -> JSONResponse:
    problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in exc.errors(include_input=False)]
    return JSONResponse({"error": problems}, 422)


def create_simulator(limits: Limits | None = None, tokens_per_s: float | None = None) -> Starlette:
    """Return the simulator as an application.

    Without limits, none is ever reached. `tokens_per_s` replaces the speed of all models.
    """
    return Starlette(routes=Simulator(limits or Limits(), tokens_per_s).routes())
