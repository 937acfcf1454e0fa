"""The simulator: its HTTP endpoints, Groq's and those that control it, and the server that runs it.

POST /openai/v1/chat/completions    streaming and not
GET  /openai/v1/models              the list
GET, PUT, DELETE /faults            the script of failures, see `faults.py`; DELETE also empties the prompt cache
PUT  /limits                        {"openai/gpt-oss-20b": {"tokens_per_minute": 12000}}; other models: the defaults
GET  /seen                          counts of chats, lists of models and clients that left, and the last chat's request
"""

import asyncio
import json
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import uvicorn
from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from app.simulator.answers import compose, count_tokens
from app.simulator.errors import Refused
from app.simulator.faults import Fault, FaultPlan, FaultScript
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

API_PATH = "/openai/v1"
_DEFAULT_BUDGET_TOKENS = 256
_LIMITS_BY_MODEL = TypeAdapter(dict[str, Limits])


class Simulator:
    """One simulated Groq: its faults, rate limits and prompt cache, and what it has seen."""

    def __init__(self, limits: Limits, tokens_per_s: float | None) -> None:
        self._tokens_per_s = tokens_per_s
        self._faults = FaultPlan(FaultScript())
        self._default_limits = limits
        self._limits = self._full_buckets({})
        self._cache = PromptCache()
        self._seen: dict[str, Any] = {"requests": 0, "model_lists": 0, "left": 0, "last_request": None}

    def routes(self) -> list[Route]:
        return [
            Route(f"{API_PATH}/chat/completions", self.chat_completions, methods=["POST"]),
            Route(f"{API_PATH}/models", self.models),
            Route("/faults", self.faults, methods=["GET", "PUT", "DELETE"]),
            Route("/limits", self.limits, methods=["PUT"]),
            Route("/seen", self.seen),
        ]

    async def chat_completions(self, request: Request) -> ASGIApp:
        self._count("requests")
        headers = _new_headers(request)
        body = await checked_body(request)
        self._seen["last_request"] = {"headers": dict(request.headers), "body": body}
        return WhileConnected(lambda: self._answer(body, headers), lambda: self._count("left"))

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
        answer = compose(body, model, fault, cached_tokens)
        if body.get("stream"):
            source = stream_events(body, answer, model, fault, request_id=headers["x-request-id"])
            return FaultyResponse(source, fault, headers, content_type="text/event-stream")
        return await whole_response(body, answer, model, fault, headers)

    async def models(self, request: Request) -> ASGIApp:
        headers = _new_headers(request)
        check_key(request)
        self._count("model_lists")
        fault = self._faults.next(None, "models")
        return WhileConnected(lambda: _list_models(fault, headers), lambda: self._count("left"))

    async def faults(self, request: Request) -> JSONResponse:
        if request.method == "PUT":
            self._faults = FaultPlan(FaultScript.model_validate_json(await request.body()))
        elif request.method == "DELETE":
            self._faults, self._cache = FaultPlan(FaultScript()), PromptCache()
        return JSONResponse(self._faults.report())

    async def limits(self, request: Request) -> JSONResponse:
        limits = _LIMITS_BY_MODEL.validate_json(await request.body())
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


async def _list_models(fault: Fault, headers: dict[str, str]) -> Response:
    await asyncio.sleep(fault.first_byte_delay_s)
    if response := scripted_response(fault, headers):
        return response
    body = json.dumps({"object": "list", "data": [model.entry() for model in MODELS.values()]})
    return body_response(body.encode(), fault, headers)


def _new_headers(request: Request) -> dict[str, str]:
    """The headers of the response, also of a refusal."""
    request.state.headers = headers = {
        "x-request-id": f"req_{secrets.token_hex(13)}",
        "cache-control": "private, max-age=0, no-store, no-cache, must-revalidate",
    }
    return headers


def _refusal(request: Request, exc: Refused) -> JSONResponse:
    retry = {} if exc.retry_after_s is None else {"retry-after": str(exc.retry_after_s)}
    return JSONResponse(exc.body, exc.status, request.state.headers | retry)


def _unprocessable(_: Request, exc: ValidationError) -> JSONResponse:
    problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in exc.errors(include_input=False)]
    return JSONResponse({"error": problems}, 422)


def create_simulator(limits: Limits | None = None, tokens_per_s: float | None = None) -> Starlette:
    """Return the simulator as an application.

    Without limits, none is ever reached. `tokens_per_s` replaces the speed of all models.
    """
    handlers: dict[Any, Any] = {Refused: _refusal, ValidationError: _unprocessable}
    return Starlette(routes=Simulator(limits or Limits(), tokens_per_s).routes(), exception_handlers=handlers)


def server(app: Starlette, *, log_level: str | None = None) -> uvicorn.Server:
    """Return a server that does not wait for its streams when it is stopped, and keeps idle connections for 75 s."""
    options: dict[str, Any] = {"timeout_graceful_shutdown": 1, "timeout_keep_alive": 75}
    return uvicorn.Server(uvicorn.Config(app, log_config=None, log_level=log_level, access_log=False, **options))


@contextmanager
def running_beside(tokens_per_s: float) -> Iterator[str]:
    """Run a simulator in a thread of this process, on a free port, and yield its base URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    simulator = server(create_simulator(tokens_per_s=tokens_per_s))
    thread = threading.Thread(target=simulator.run, kwargs={"sockets": [listener]}, name="simulator", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}{API_PATH}"
    finally:
        simulator.should_exit = True
        thread.join(timeout=5)
