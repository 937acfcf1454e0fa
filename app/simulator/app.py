"""The HTTP surface: Groq's endpoints, and a panel to make them fail.

POST /openai/v1/chat/completions    streaming and not
GET  /openai/v1/models              and one model by its id
GET, PUT, DELETE /faults            the script of failures, see `faults.py`; DELETE empties the prompt cache too
PUT  /limits                        {"openai/gpt-oss-20b": {"tokens_per_minute": 12000}}; the others: as usual
GET  /seen                          how many chats and lists of models were asked for, how many clients left, and the
                                    last chat's request
"""

import asyncio
import json
import secrets
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from app.simulator.answers import compose
from app.simulator.checks import check_key, checked_body, known_model
from app.simulator.delivery import Delivery, WhileConnected, once
from app.simulator.faults import Fault, FaultPlan, FaultScript
from app.simulator.limits import Limits, RateLimit
from app.simulator.models import MODELS
from app.simulator.prompt_cache import PromptCache, count_tokens
from app.simulator.refusals import Refused, by_limit
from app.simulator.scripted import scripted
from app.simulator.stream import events
from app.simulator.whole import whole_answer
from app.simulator.wire import ChunkWriter

_DEFAULT_BUDGET_TOKENS = 256
_LIMITS_BY_MODEL = TypeAdapter(dict[str, Limits])


class Simulator:
    """One simulated Groq: its script of faults, its buckets, its prompt cache, and what it has seen."""

    def __init__(self, *, seed: int = 0, limits: Limits | None = None) -> None:
        self._seed = seed
        self._faults = FaultPlan()
        self._usual_limits = limits or Limits()
        self._limits = self._fresh_limits({})
        self._cache = PromptCache()
        self._requests = 0
        self._model_lists = 0
        self._left = 0
        self._last_request: dict[str, Any] | None = None

    def routes(self) -> list[Route]:
        return [
            Route("/openai/v1/chat/completions", self.chat_completions, methods=["POST"]),
            Route("/openai/v1/models", self.models),
            Route("/openai/v1/models/{name:path}", self.model),
            Route("/faults", self.faults, methods=["GET", "PUT", "DELETE"]),
            Route("/limits", self.limits, methods=["PUT"]),
            Route("/seen", self.seen),
        ]

    async def chat_completions(self, request: Request) -> ASGIApp:
        self._requests += 1
        headers = _headers()
        try:
            body = await checked_body(request)
        except Refused as refused:
            return refused.response(headers)
        self._last_request = {"headers": dict(request.headers), "body": body}
        return WhileConnected(lambda: self._respond(body, headers), self._leave)

    async def _respond(self, body: dict[str, Any], headers: dict[str, str]) -> Response:
        try:
            return await self._answer(body, headers)
        except Refused as refused:
            return refused.response(headers)

    async def _answer(self, body: dict[str, Any], headers: dict[str, str]) -> Response:
        model = MODELS[body["model"]]
        fault = self._faults.next(model.name)
        await asyncio.sleep(fault.first_byte_delay_s)
        cached_tokens = self._cache.cached_tokens(body) if model.caches_prompts else 0
        self._admit(body, cached_tokens, headers)
        if instead := scripted(fault, headers):
            return instead
        if model.caches_prompts:
            self._cache.remember(body)
        answer = compose(
            body,
            model,
            self._seed,
            fault.words,
            reasoning_words=fault.reasoning_words,
            refusal=fault.refusal,
            cached_tokens=cached_tokens,
        )
        if not body.get("stream"):
            return await whole_answer(body, answer, model, fault, headers)
        include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        writer = ChunkWriter(model, request_id=headers["x-request-id"], include_usage=include_usage, fault=fault)
        source = events(writer, answer, model, fault, body.get("seed"))
        return Delivery(source, fault, headers, content_type="text/event-stream")

    def _admit(self, body: dict[str, Any], cached_tokens: int, headers: dict[str, str]) -> None:
        """Takes the request from the buckets of its model, and adds what is left in them to the headers."""
        bucket = self._limits[body["model"]]
        budget = body.get("max_completion_tokens") or body.get("max_tokens") or _DEFAULT_BUDGET_TOKENS
        exhausted = bucket.take(count_tokens(body["messages"]) + budget, cached=cached_tokens)
        headers.update(bucket.headers())
        if exhausted:
            raise by_limit(exhausted)

    async def models(self, request: Request) -> ASGIApp:
        try:
            check_key(request)
        except Refused as refused:
            return refused.response(_headers())
        self._model_lists += 1
        fault = self._faults.next(None, "models")
        return WhileConnected(lambda: _list_models(fault), self._leave)

    async def model(self, request: Request) -> Response:
        try:
            check_key(request)
            return JSONResponse(known_model(request.path_params["name"]).entry(), headers=_headers())
        except Refused as refused:
            return refused.response(_headers())

    async def faults(self, request: Request) -> JSONResponse:
        if request.method != "GET":
            empty = request.method == "DELETE"
            try:
                script = FaultScript() if empty else FaultScript.model_validate_json(await request.body())
            except ValidationError as exc:
                return _unprocessable(exc)
            self._faults.load(script)
            if empty:
                self._cache.forget()
        return JSONResponse(self._faults.report())

    async def limits(self, request: Request) -> JSONResponse:
        try:
            limits = _LIMITS_BY_MODEL.validate_json(await request.body())
        except ValidationError as exc:
            return _unprocessable(exc)
        if unknown := set(limits) - set(MODELS):
            return JSONResponse({"error": f"no such model: {', '.join(sorted(unknown))}"}, 422)
        self._limits = self._fresh_limits(limits)
        return JSONResponse({name: each.model_dump() for name, each in limits.items()})

    def _fresh_limits(self, by_model: dict[str, Limits]) -> dict[str, RateLimit]:
        """Full buckets: those named get their own size, the others the usual one."""
        return {name: RateLimit(name, by_model.get(name, self._usual_limits)) for name in MODELS}

    async def seen(self, _: Request) -> JSONResponse:
        counts = {"requests": self._requests, "model_lists": self._model_lists, "left": self._left}
        return JSONResponse(counts | {"last_request": self._last_request})

    def _leave(self) -> None:
        self._left += 1


async def _list_models(fault: Fault) -> Response:
    await asyncio.sleep(fault.first_byte_delay_s)
    headers = _headers()
    if instead := scripted(fault, headers):
        return instead
    body = json.dumps({"object": "list", "data": [model.entry() for model in MODELS.values()]}).encode()
    return Delivery(once(body), fault, headers, content_type="application/json", length=len(body))


def _headers() -> dict[str, str]:
    return {
        "x-request-id": f"req_{secrets.token_hex(13)}",
        "cache-control": "private, max-age=0, no-store, no-cache, must-revalidate",
    }


def _unprocessable(exc: ValidationError) -> JSONResponse:
    problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in exc.errors(include_input=False)]
    return JSONResponse({"error": problems}, 422)


def create_simulator(*, seed: int = 0, limits: Limits | None = None) -> Starlette:
    """The simulator as an application; the same seed gives the same answers."""
    return Starlette(routes=Simulator(seed=seed, limits=limits).routes())
